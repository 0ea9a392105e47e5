"""Label files of YOLO layout: from bytes to rows of numbers, and from the rows of a whole data set to boxes."""
