// SPDX-License-Identifier: Apache-2.0
@testable import PulseTopics

/// What a peer sees, as the model expects it.
enum Sight: Equatable {
  case message(topic: String, o: UInt64, p: UInt64, skipped: UInt64)
  case gap(topic: String, from: UInt64, to: UInt64, cause: String)
  case subscribed(topic: String, offset: UInt64, recovered: Bool)
  case snapshot(topic: String, offset: UInt64, items: [UInt64])
}

/// A peer's queue as one would write it with arrays.
struct NaiveQueue {
  struct Item {
    var topic: String
    var offset: UInt64
    var key: String?
    var cost: Int
    var previous: UInt64
    var skipped: UInt64
    var conflates: Bool
  }

  struct Place {
    var offset: UInt64
    /// How many messages the topic had up to there.
    var count: Int
  }

  let policy: SlowPolicy
  let maxMessages: Int
  let maxBytes: Int
  var items: [Item] = []
  var control: [Sight] = []
  var outgoing: [Sight] = []
  var places: [String: Place] = [:]
  var gaps: [String: (UInt64, UInt64)] = [:]
  var conflatesAll = false
  var extraMessages = 0
  var extraBytes = 0
  var isOverflowed = false
  var books = Books()

  var bytes: Int { items.reduce(0) { $0 + $1.cost } }

  mutating func settle() {
    extraMessages = min(extraMessages, items.count)
    extraBytes = min(extraBytes, bytes)
    if items.isEmpty { conflatesAll = false }
  }

  mutating func removeItem(at index: Int, conflated: Bool) {
    let item = items.remove(at: index)
    if conflated {
      books.conflated += 1
      if let next = items[index...].firstIndex(where: { $0.topic == item.topic }) {
        items[next].previous = item.previous
        items[next].skipped += item.skipped + 1
      }
    } else {
      books.dropped += 1
      gaps[item.topic] = (gaps[item.topic]?.0 ?? item.previous + 1, item.offset)
    }
  }

  /// `history`: all offsets of the topic.
  mutating func offer(_ message: Item, _ history: [UInt64], limited: Bool) {
    guard let place = places[message.topic], message.offset > place.offset else { return }
    let before = (items.count, bytes)
    var item = message
    item.previous = place.offset
    item.skipped = UInt64(history.filter { $0 > place.offset && $0 < item.offset }.count)
    places[item.topic] = Place(offset: item.offset, count: 0)
    books.offered += item.skipped + 1
    books.conflated += item.skipped
    if isOverflowed {
      books.dropped += 1
      return
    }
    // The newest stands in the queue while what it replaces goes.
    items.append(item)
    conflate(item)
    func isFull() -> Bool {
      items.count > 1 && (items.count > maxMessages + extraMessages || bytes > maxBytes + extraBytes)
    }
    if limited, isFull(), policy == .disconnect {
      isOverflowed = true
      items.removeLast()
      books.dropped += 1
      return
    }
    if limited, isFull(), policy == .conflate, !conflatesAll {
      conflatesAll = true
      for index in items.indices.reversed() where items[index].key != nil {
        let item = items[index]
        if items[(index + 1)...].contains(where: { $0.topic == item.topic && $0.key == item.key }) {
          removeItem(at: index, conflated: true)
        }
      }
      extraMessages = min(extraMessages, items.count - 1)
      extraBytes = min(extraBytes, bytes - message.cost)
    }
    while limited, isFull() {
      removeItem(at: 0, conflated: false)
      extraMessages = min(extraMessages, items.count - 1)
      extraBytes = min(extraBytes, bytes - message.cost)
    }
    if !limited {
      extraMessages += max(0, items.count - before.0)
      extraBytes += max(0, bytes - before.1)
    }
  }

  private mutating func conflate(_ item: Item) {
    guard let key = item.key, item.conflates || conflatesAll else { return }
    let old = items.dropLast().firstIndex { $0.topic == item.topic && $0.key == key }
    guard let old else { return }
    removeItem(at: old, conflated: true)
    extraMessages = min(extraMessages, items.count - 1)
    extraBytes = min(extraBytes, bytes - item.cost)
  }

  /// `order`: the topics, as the queue has them.
  mutating func fill(_ order: [String]) -> [Sight] {
    var moved: [Sight] = []
    while outgoing.count < PeerQueue.maxOutgoing {
      if !control.isEmpty {
        moved.append(control.removeFirst())
      } else if let item = items.first {
        if let (from, to) = gaps.removeValue(forKey: item.topic) {
          moved.append(.gap(topic: item.topic, from: from, to: to, cause: "slow"))
        } else {
          moved.append(.message(topic: item.topic, o: item.offset, p: item.previous, skipped: item.skipped))
          items.removeFirst()
          if extraMessages > 0 {
            extraMessages -= 1
            extraBytes = max(0, extraBytes - item.cost)
          }
          settle()
        }
      } else if !gaps.isEmpty {
        for topic in order {
          guard let (from, to) = gaps.removeValue(forKey: topic) else { continue }
          moved.append(.gap(topic: topic, from: from, to: to, cause: "slow"))
          outgoing.append(moved[moved.count - 1])
        }
        continue
      } else {
        break
      }
      outgoing.append(moved[moved.count - 1])
    }
    return moved
  }

  mutating func unsubscribe(_ topic: String) {
    let left = items.filter { $0.topic != topic }
    books.dropped += UInt64(items.count - left.count)
    items = left
    places[topic] = nil
    gaps[topic] = nil
    settle()
  }
}
