// SPDX-License-Identifier: Apache-2.0

extension Topic {
  /// What one reader was given, for the next one that asks for the same.
  struct Batch {
    var from: UInt64 = 0
    var to: UInt64 = 0
    var deliveries: [Delivery] = []
  }

  /// From here on the reader (a loop's number, from 0) has to read. A second call changes nothing; false for a number that
  /// is too large.
  @discardableResult
  package func attach(_ reader: Int) -> Bool {
    if reader < 0 || reader >= Topic.maxReaders { return false }
    while readers.count <= reader { readers.append(Topic.nobody) }
    if readers[reader] == Topic.nobody {
      readers[reader] = end.ordinal &+ 1
      if lowest > readers[reader] { lowest = readers[reader] }
    }
    return true
  }

  /// The reader has no subscribers any more.
  package func detach(_ reader: Int, now: Int64) {
    if reader < 0 || reader >= readers.count { return }
    readers[reader] = Topic.nobody
    readersMoved(now)
  }

  /// Whether there is something that the reader has not read.
  package func hasNews(_ reader: Int) -> Bool {
    reader >= 0 && reader < readers.count && readers[reader] <= end.ordinal
  }

  /// Appends what came since the reader's last call to `deliveries`. Of a topic that conflates, and gathers messages for a
  /// while, that is the latest message of each key, linked so that a peer in step sees no hole.
  package func read(_ reader: Int, into deliveries: inout [Delivery], now: Int64) {
    if !hasNews(reader) { return }
    let from = readers[reader]
    readers[reader] = end.ordinal &+ 1
    if info.conflates, info.settings.flush > 0, end.ordinal > from {
      if batch.from != from || batch.to != end.ordinal { gather(from) }
      for delivery in batch.deliveries { deliveries.append(delivery) }
    } else {
      var ordinal = from
      while ordinal <= end.ordinal {
        deliveries.append(ring.delivery(ordinal))
        ordinal &+= 1
      }
    }
    readersMoved(now)
  }

  /// Counts what all readers have read now, and forgets it if the history allows.
  private func readersMoved(_ now: Int64) {
    var least = Topic.nobody
    for reader in readers where reader < least { least = reader }
    var ordinal = lowest
    lowest = least
    // Nothing was unread if there was no reader.
    while ordinal < least, ordinal <= end.ordinal {
      unreadBytes &-= ring.size(ordinal)
      ordinal &+= 1
    }
    if batch.to < least, !batch.deliveries.isEmpty { batch = Batch() }
    trim(now: now)
  }

  /// The latest message of each key from an ordinal on, and all without a key.
  private func gather(_ from: UInt64) {
    batch = Batch(from: from, to: end.ordinal)
    while marks.count < keyCount { marks.append(0) }
    generation &+= 1
    if generation == 0 {
      for index in 0..<marks.count { marks[index] = 0 }
      generation = 1
    }
    // From the end: what comes first there is the latest of its key.
    var survivors: [Delivery] = []
    var ordinal = end.ordinal
    while ordinal >= from {
      let delivery = ring.delivery(ordinal)
      let key = Int(delivery.publication.keyID) &- Int(firstKey)
      if key < 0 || key >= marks.count || marks[key] != generation {
        if key >= 0, key < marks.count { marks[key] = generation }
        survivors.append(delivery)
      }
      ordinal &-= 1
    }
    var before = TopicPosition(offset: ring.delivery(from).previous, ordinal: from &- 1)
    while let delivery = survivors.popLast() {
      let publication = delivery.publication
      let skipped = publication.ordinal &- before.ordinal &- 1
      batch.deliveries.append(
        skipped == 0 ? delivery : Delivery(publication, previous: before.offset, skipped: skipped))
      before = TopicPosition(offset: publication.offset, ordinal: publication.ordinal)
    }
  }
}
