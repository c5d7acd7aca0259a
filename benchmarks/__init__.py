"""The refresh beside what people use today: same rows, same sandbox, one run. See README.md in this folder."""
