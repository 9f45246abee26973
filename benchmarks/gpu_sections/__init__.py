"""What `benchmarks.gpu` measures, a module a section."""
