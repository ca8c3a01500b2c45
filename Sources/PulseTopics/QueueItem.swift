// SPDX-License-Identifier: Apache-2.0

/// A message in a `PeerQueue`.
struct QueueItem {
  /// With a reference; nil if it was removed.
  var delivery: Unmanaged<Delivery>?
  /// The queue holds it.
  var subscription: Unmanaged<Subscription>
  /// For this peer, as in `Delivery`.
  var previous: UInt64
  var skipped: UInt64
  /// The items of the same subscription around it; -1 without.
  var before: Int32
  var after: Int32
}

/// The ring of items.
extension PeerQueue {
  @inline(__always) func slot(_ number: Int32) -> Int { Int(number & (capacity &- 1)) }

  @inline(__always) func cost(_ delivery: Delivery) -> Int { delivery.cost }

  /// Whether items of this key replace an older one.
  @inline(__always) func conflates(_ delivery: Delivery, _ subscription: Subscription) -> Bool {
    delivery.publication.keyID >= 0 && (subscription.topic.conflates || conflatesAll)
  }

  func append(_ delivery: Delivery, _ subscription: Subscription, previous: UInt64, skipped: UInt64) {
    if tail &- head == capacity || tail >= 1 << 30 { makeRoom() }
    guard let items else { return }
    let number = tail
    let before = subscription.lastItem
    items[slot(number)] = QueueItem(
      delivery: Unmanaged.passRetained(delivery), subscription: Unmanaged.passUnretained(subscription), previous: previous,
      skipped: skipped, before: before, after: -1)
    if before >= 0 { items[slot(before)].after = number }
    subscription.lastItem = number
    tail &+= 1
    waiting &+= 1
    bytes &+= cost(delivery)
    if let index, conflates(delivery, subscription) {
      index.set(PeerQueue.address(subscription), delivery.publication.keyID, number)
    }
  }

  static func address(_ subscription: Subscription) -> UInt {
    UInt(bitPattern: Unmanaged.passUnretained(subscription).toOpaque())
  }

  /// Takes a live item out of all lists and gives its reference back.
  func remove(_ number: Int32) {
    guard let items else { return }
    let place = slot(number)
    let item = items[place]
    guard let delivery = item.delivery else { return }
    items[place].delivery = nil
    if item.before >= 0 { items[slot(item.before)].after = item.after }
    if item.after >= 0 {
      items[slot(item.after)].before = item.before
    } else {
      item.subscription._withUnsafeGuaranteedRef { $0.lastItem = item.before }
    }
    waiting &-= 1
    bytes &-= delivery._withUnsafeGuaranteedRef { $0.cost }
    if index != nil { removeFromIndex(item.subscription, delivery) }
    if extraMessages > waiting { extraMessages = waiting }
    if extraBytes > bytes { extraBytes = bytes }
    delivery.release()
    if number == head {
      repeat { head &+= 1 } while head < tail && items[slot(head)].delivery == nil
    }
    if waiting == 0 { becameEmpty() }
  }

  @inline(never) private func removeFromIndex(_ subscription: Unmanaged<Subscription>, _ delivery: Unmanaged<Delivery>) {
    let owner = subscription.takeUnretainedValue()
    let message = delivery.takeUnretainedValue()
    if conflates(message, owner) { index?.remove(PeerQueue.address(owner), message.publication.keyID) }
    if waiting <= 8 { index = nil }
  }

  private func becameEmpty() {
    head = 0
    tail = 0
    if capacity > QueueRules.moreItems { freeItems() }
  }

  /// There are none.
  func freeItems() {
    items?.deallocate()
    items = nil
    capacity = 0
    head = 0
    tail = 0
    index = nil
  }

  /// Moves the items together, into a larger ring if less than half of them were removed.
  @inline(never) private func makeRoom() {
    let removed = tail &- head &- waiting
    var size = capacity
    if capacity == 0 {
      size = QueueRules.fewItems
    } else if removed &* 2 < capacity {
      size = capacity < QueueRules.moreItems ? QueueRules.moreItems : capacity &* 2
    }
    let larger = rules.takeItems(size)
    if let items {
      // The subscription of a removed one may be gone.
      for number in head..<tail where items[slot(number)].delivery != nil {
        items[slot(number)].subscription._withUnsafeGuaranteedRef { $0.lastItem = -1 }
      }
      var count: Int32 = 0
      for number in head..<tail {
        var item = items[slot(number)]
        if item.delivery == nil { continue }
        let subscription = item.subscription.takeUnretainedValue()
        item.before = subscription.lastItem
        item.after = -1
        if item.before >= 0 { larger[Int(item.before)].after = count }
        subscription.lastItem = count
        larger[Int(count)] = item
        count &+= 1
      }
      rules.give(items, capacity)
    }
    items = larger
    capacity = size
    head = 0
    tail = waiting
    if index != nil { buildIndex() }
  }

  @inline(never) func buildIndex() {
    let made = ItemIndex()
    index = made
    guard let items else { return }
    for number in head..<tail {
      guard let delivery = items[slot(number)].delivery?.takeUnretainedValue() else { continue }
      let subscription = items[slot(number)].subscription.takeUnretainedValue()
      if conflates(delivery, subscription) {
        made.set(PeerQueue.address(subscription), delivery.publication.keyID, number)
      }
    }
  }
}
