"""The one package that imports Airflow: runs, connections and clocks become plain values here."""
