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
  /// Messages whose key was one too many: they go out as without one.
  package private(set) var keysRefused: UInt64 = 0

  let ring = DeliveryRing()
  private var keys: KeyTable?
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
    latest?.put(publication)
    if !snapshots.isEmpty { snapshots = [] }
    trim(now: now)
    return .appended(offset: place, endsStale: freshness.messageCame(now))
  }

  private func number(of key: UnsafeRawBufferPointer) -> Int32 {
    let table = keys ?? KeyTable(seed: seed, limit: info.settings.maxKeys)
    keys = table
    let index = table.index(of: key)
    if index < 0 { keysRefused &+= 1 }
    return Int32(truncatingIfNeeded: index)
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
