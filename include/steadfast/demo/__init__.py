"""What a trial and the tests meet instead of the outside world: emulators, a mail sink, a scenario."""
