"""Real mounts for tests of the evaluator: gcsfuse, an S3 mount, and a file system that fails on demand.

`python -m mounts prepare` checks the machine, installs Debian's packages and builds the programs, as `make test-mounts`
does first. Everything that is mounted or started here ends with the test process, however that ends.
"""
