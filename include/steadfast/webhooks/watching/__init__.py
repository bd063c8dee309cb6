"""What ops should know: sources that fall silent, what is refused, what waits, what died."""
