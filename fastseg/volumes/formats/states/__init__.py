"""What files of each format can state, and what is done with it: a module for each of the formats beside this folder."""
