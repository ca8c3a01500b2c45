// SPDX-License-Identifier: Apache-2.0
import CPulseKernels

/// What the process before has left.
extension Journal {
  /// Reads the records from the first to the last; at the first that is damaged it cuts off the rest. Messages that are
  /// queued or in doubt are there to be asked for with `record(after:)`.
  package func recover() -> Recovery {
    var found = Recovery()
    let isBroken = !takeWords()
    let rows = news.inherit(highest: lastWord.value)
    if isBroken {
      // There is no telling where the records are: nothing of the ring may ever be taken for one.
      found.cutBytes = capacity
      clear(from: head, count: capacity)
    }
    var lastSeen = firstWord.isLost ? nil : max(firstWord.value, 1) &- 1
    var position = head
    let limit = tailWord.isLost ? head &+ capacity : tail
    while !isBroken && position < limit {
      let rest = capacity &- position % capacity
      if rest < UInt64(JournalFormat.Field.payload) {
        position &+= rest
        continue
      }
      lap = position &+ rest &- capacity
      guard let record = check(position, rest, after: lastSeen ?? 0), record.size <= limit &- position else { break }
      if record.id > 0 {
        lastSeen = record.id
        let isNews = rows.contains { $0.first <= record.id && record.id <= $0.last }
        if isNews {
          // The process ended before it marked the record.
          pulse_publish64(address(position) + JournalFormat.Field.state, JournalFormat.State.done)
        } else if record.state == JournalFormat.State.queued {
          found.queued &+= 1
          index.append(id: record.id, position: position)
        } else if record.state != JournalFormat.State.done {
          // Begun; or the state is damaged, which is no better.
          found.inDoubt.add(record.id, record.id)
          hasInDoubt = true
          index.append(id: record.id, position: position, isInDoubt: true)
        }
      }
      position &+= record.size
    }
    let highest = max(lastWord.value, lastSeen ?? 0)
    if position < limit && !isBroken {
      if !tailWord.isLost {
        found.cutBytes = tail &- position
      } else if lastWord.isLost || highest > lastSeen ?? 0 {
        found.cutBytes = limit &- position
      }
      clear(from: position, count: limit &- position)
    }
    if found.cutBytes > 0 {
      // Ids were also given to messages that were not kept here.
      let room = found.cutBytes / UInt64(JournalFormat.Field.payload)
      found.cutMessages = lastWord.isLost ? nil : lastSeen.map { min(highest &- $0, room) }
    }
    take(rows, &found)
    settle(tail: max(position, head), lastID: highest)
    return found
  }

  /// What the process before did not tell.
  private func take(_ rows: [JournalNews.Row], _ found: inout Recovery) {
    found.unlisted = news.unlisted
    if !rows.isEmpty || found.unlisted > 0 { hasInDoubt = true }
    for row in rows {
      switch row.kind {
      case .failed:
        found.inDoubt.add(row.first, row.last)
        found.failed &+= row.last &- row.first &+ 1
      case .dropped: found.dropped.add(row.first, row.last)
      case .expired: found.expired.add(row.first, row.last)
      }
    }
  }

  /// False if the words do not say where the records are.
  private func takeWords() -> Bool {
    head = headWord.value
    tail = tailWord.value
    // The process ended as it began a new lap with an empty ring.
    if head > tail && !headWord.isLost && !tailWord.isLost { tail = head }
    let isPossible = head % 8 == 0 && tail % 8 == 0 && head < 1 << 62 && tail < 1 << 62
    guard !headWord.isLost, isPossible, tailWord.isLost || tail &- head <= capacity else {
      // Any position will do, since nothing is left; a new lap is a good start.
      let known = isPossible ? max(head, tail) : 0
      head = (known / capacity &+ 1) &* capacity
      tail = head
      return false
    }
    if tailWord.isLost { tail = head }
    return true
  }

  /// The record at a position, if it is whole.
  private func check(_ position: UInt64, _ rest: UInt64, after lastSeen: UInt64)
    -> (id: UInt64, size: UInt64, state: UInt64)?
  {
    let record = address(position)
    func number(_ offset: Int) -> UInt64 { UInt64(littleEndian: record.load(fromByteOffset: offset, as: UInt64.self)) }
    guard number(JournalFormat.Field.position) == position else { return nil }
    let first = number(0)
    let kind = UInt32(truncatingIfNeeded: number(JournalFormat.Field.kind))
    let length = kind == JournalFormat.filler ? 0 : first >> 32
    let payloadRoom = rest &- UInt64(JournalFormat.Field.payload)
    guard length <= payloadRoom, checksum(record, Int(length)) == UInt32(truncatingIfNeeded: first) else { return nil }
    let id = number(JournalFormat.Field.id)
    if kind == JournalFormat.filler { return id == payloadRoom ? (0, rest, JournalFormat.State.done) : nil }
    guard id > lastSeen else { return nil }
    return (id, JournalFormat.size(Int(length)), number(JournalFormat.Field.state))
  }

  private func settle(tail end: UInt64, lastID: UInt64) {
    tail = end
    lap = tail / capacity &* capacity
    moveHead()
    // The tail first: a head beyond it would mean that there is nothing.
    tailWord.write(tail)
    headWord.write(head)
    lastWord.write(lastID)
    firstWord.write(index.entry(0)?.id ?? lastID &+ 1)
  }

  /// Zeros, so that what lay there is never read again.
  private func clear(from start: UInt64, count: UInt64) {
    var position = start
    var left = min(count, capacity)
    while left > 0 {
      let offset = position % capacity
      let part = min(left, capacity &- offset)
      (memory + (JournalFormat.pageSize &+ Int(truncatingIfNeeded: offset))).initializeMemory(
        as: UInt8.self, repeating: 0, count: Int(truncatingIfNeeded: part))
      position &+= part
      left &-= part
    }
  }
}
