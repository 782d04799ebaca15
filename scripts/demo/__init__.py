"""The jobs on real-sized files, with nothing but Python: the places are started on this machine, too."""
