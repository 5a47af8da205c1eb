"""Running a study: the work of a cell, on processes or Dask."""
