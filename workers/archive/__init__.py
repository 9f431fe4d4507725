"""The archive: steps, signals and the life of runs, from Kafka to the lake, every record exactly once.

Why that holds, whatever dies, stands still or is taken over, at any point:

- A file holds all that the topic has in the range of offsets in its name, appears whole, and never changes. So any
  number of writers may write any ranges, at any time: nothing that one writes can make another's file wrong.
- Of files whose ranges overlap, readers take each offset from one (`workers.lake.ranges`): no row shows twice.
- A writer begins a partition at the first offset that the lake does not hold, and each file where the one before it
  ended: no offset is left out. The lake alone says where that is. The offset that is committed after the file has its
  name is for those who watch the lag; losing it, or a commit that comes late, changes nothing.
- What `compact` merges (`workers.archive.compact`) is one more file of a range, and what it deletes is covered by one
  that has been there for an hour.
- A topic's id is asked for before its first record is read and again before each file is written. Where it differs, the
  topic was made anew, what is held may be of either, and none of it is written: the new one is read from its start.
"""
