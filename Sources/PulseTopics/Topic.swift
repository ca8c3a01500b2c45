// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// What became of a publication.
package enum AppendVerdict: Equatable, Sendable {
  /// `endsStale`: the topic was stale, so `stateMessage` has news for the subscribers.
  case appended(offset: UInt64, endsStale: Bool)
  /// The offset that came with it is not above the last one, it was appended before, or it was made for a topic of the
  /// other kind.
  case refused
}

/// One topic: its messages, its keys, who reads them. Its owner's lock guards it.
package final class Topic {
  package static let maxReaders = 64

  package let info: TopicInfo
  /// Names the life of the topic that its offsets belong to.
  package let epoch: [UInt8]
  private let seed: UInt64
  /// Behind the last message.
  package private(set) var end = TopicPosition()
  /// Payload and key bytes that some reader has not read: the owner's budget.
  package var unreadBytes = 0
  /// Keys that gave way to others, since there were too many.
  package private(set) var keysForgotten: UInt64 = 0

  let ring = DeliveryRing()
  private var keys: KeyTable?
  /// The number of the first key in `keys`: one that was forgotten and comes again has another number, so that nothing which
  /// waits somewhere gives way to a message of another key.
  private(set) var firstKey: Int32 = 0
  var latest: LatestTable?

  /// For each reader the ordinal that it reads next; `Topic.nobody` for none.
  var readers: [UInt64] = []
  /// The lowest of them.
  var lowest = Topic.nobody
  static let nobody = UInt64.max
  var batch = Batch()
  var marks: [UInt32] = []
  var generation: UInt32 = 0

  var snapshots: [CachedSnapshot] = []

  var freshness: Freshness

  /// `epoch`: 1 to 32 printable characters that no earlier life of the topic had. `seed`: from a secure source, so that
  /// nobody can choose keys that collide.
  package init(_ info: TopicInfo, epoch: [UInt8], seed: UInt64, now: Int64) {
    self.info = info
    self.epoch = epoch
    self.seed = seed
    freshness = Freshness(since: now)
    if info.settings.latest { latest = LatestTable() }
  }

  /// Payload and key bytes that it holds for readers and as history.
  package var heldBytes: Int { ring.bytes }
  package var heldMessages: Int { ring.count }
  package var keyCount: Int { keys?.count ?? 0 }
  package var hasReaders: Bool { lowest != Topic.nobody }

  /// Gives the publication its place. `offset`: given by another order, such as a cluster's stream; else the next number.
  package func append(_ publication: Publication, offset: UInt64? = nil, now: Int64) -> AppendVerdict {
    let place = offset ?? (end.offset &+ 1)
    if place <= end.offset || publication.offset != 0 || publication.isBinary != info.isBinary { return .refused }
    publication.offset = place
    publication.ordinal = end.ordinal &+ 1
    publication.appendedAt = now
    if let key = publication.key { publication.keyID = number(of: key) }
    ring.append(Delivery(publication, previous: end.offset))
    end = TopicPosition(offset: place, ordinal: publication.ordinal)
    if hasReaders { unreadBytes &+= publication.footprint }
    latest?.put(publication, at: Int(publication.keyID &- (publication.keyID < 0 ? 0 : firstKey)))
    if !snapshots.isEmpty { snapshots = [] }
    trim(now: now)
    return .appended(offset: place, endsStale: freshness.messageCame(now))
  }

  private func number(of key: UnsafeRawBufferPointer) -> Int32 {
    var index = keys?.index(of: key) ?? -1
    if index < 0 {
      let table = makeKeys()
      keys = table
      index = table.index(of: key)
    }
    return firstKey &+ Int32(truncatingIfNeeded: index)
  }

  /// In place of a table that is full, or of none. Of the keys whose latest messages are kept, the half that spoke last
  /// stays.
  @inline(never) private func makeKeys() -> KeyTable {
    let table = KeyTable(seed: seed, limit: info.settings.maxKeys)
    guard let full = keys else { return table }
    firstKey = Int32(clamping: Int(firstKey) &+ full.count)
    if firstKey > Int32.max / 2 { firstKey = 0 }
    if latest != nil {
      var all: [Publication] = []
      latest?.appendAll(to: &all)
      latest = LatestTable()
      for place in 0..<all.count where all[place].key == nil || place >= all.count &- info.settings.maxKeys / 2 {
        latest?.put(all[place], at: all[place].key.map { table.index(of: $0) } ?? -1)
      }
    }
    keysForgotten &+= UInt64(full.count &- table.count)
    return table
  }

  /// Forgets what is beyond the limits of the history, but nothing that a reader has not read.
  package func trim(now: Int64) {
    let settings = info.settings
    while ring.count > 0, ring.first < lowest {
      let isOver =
        ring.count > settings.history || ring.bytes > settings.historyBytes
        || (settings.historyAge > 0 && now &- ring.delivery(ring.first).publication.appendedAt >= settings.historyAge)
      if !isOver { return }
      ring.dropFirst()
    }
  }
}
