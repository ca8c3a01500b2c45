// SPDX-License-Identifier: Apache-2.0

/// Messages come in.
extension PeerQueue {
  /// Queues a message that the topic's reader read. One that the subscription has had before is ignored.
  @discardableResult @_optimize(speed)
  package func offer(_ delivery: Delivery, _ subscription: Subscription) -> Offer {
    queue(delivery, subscription, isLimited: true)
  }

  /// Queues a message that a cut recovered, beyond the limits.
  package func resume(_ delivery: Delivery, _ subscription: Subscription) {
    let before = waiting
    let bytesBefore = bytes
    _ = queue(delivery, subscription, isLimited: false)
    if waiting > before { extraMessages &+= waiting &- before }
    if bytes > bytesBefore { extraBytes &+= bytes &- bytesBefore }
  }

  /// How many recovered messages it may hold beyond the limits: `SubscribeWish.most`.
  package var resumeRoom: Int { max(0, 4 &* rules.maxMessages &- Int(extraMessages)) }

  @inline(__always)
  private func queue(_ delivery: Delivery, _ subscription: Subscription, isLimited: Bool) -> Offer {
    let publication = delivery.publication
    if publication.ordinal <= subscription.position.ordinal || subscription.queue !== self { return .queued }
    var previous = subscription.position.offset
    // What a reader conflated, which for a newcomer may be less than for those in step.
    var skipped = publication.ordinal &- subscription.position.ordinal &- 1
    subscription.position = TopicPosition(offset: publication.offset, ordinal: publication.ordinal)
    countOffered(skipped &+ 1, conflated: skipped)
    if isOverflowed { return refuse() }
    if subscription.lastItem >= 0, conflates(delivery, subscription) {
      replace(delivery, subscription, &previous, &skipped)
    }
    var result = Offer.queued
    if isLimited, isFull(delivery) {
      result = makeWay(delivery, subscription, &previous, &skipped)
      if result == .disconnect { return refuse() }
    }
    append(delivery, subscription, previous: previous, skipped: skipped)
    return result
  }

  private func isFull(_ delivery: Delivery) -> Bool {
    waiting > 0
      && (Int(waiting) >= rules.maxMessages &+ Int(extraMessages) || bytes &+ cost(delivery) > rules.maxBytes &+ extraBytes)
  }

  @inline(never)
  private func makeWay(
    _ delivery: Delivery, _ subscription: Subscription, _ previous: inout UInt64, _ skipped: inout UInt64
  ) -> Offer {
    if rules.policy == .disconnect {
      isOverflowed = true
      return .disconnect
    }
    var result = Offer.queued
    if rules.policy == .conflate, !conflatesAll {
      result = .conflated
      conflateAll()
      if subscription.lastItem >= 0, conflates(delivery, subscription) {
        replace(delivery, subscription, &previous, &skipped)
      }
    }
    while isFull(delivery) {
      dropOldest()
      result = .dropped
    }
    return result
  }

  private func refuse() -> Offer {
    countDropped(1)
    return .disconnect
  }

  /// Removes the older message of the key. The next one of the subscription, which may be the one that comes, follows then
  /// on the one before.
  @inline(never)
  private func replace(
    _ delivery: Delivery, _ subscription: Subscription, _ previous: inout UInt64, _ skipped: inout UInt64
  ) {
    let number = find(subscription, delivery.publication.keyID)
    guard number >= 0, let items else { return }
    let item = items[slot(number)]
    if item.after >= 0 {
      pass(item, to: item.after)
    } else {
      previous = item.previous
      skipped = skipped &+ item.skipped &+ 1
    }
    remove(number)
    countConflated(1)
  }

  private func pass(_ item: QueueItem, to next: Int32) {
    guard let items else { return }
    let place = slot(next)
    items[place].previous = item.previous
    items[place].skipped = items[place].skipped &+ item.skipped &+ 1
  }

  /// The item of the key; -1 without.
  private func find(_ subscription: Subscription, _ key: Int32) -> Int32 {
    if index == nil, waiting > 16 { buildIndex() }
    if let index { return index.find(PeerQueue.address(subscription), key) }
    guard let items else { return -1 }
    var number = subscription.lastItem
    while number >= 0 {
      let item = items[slot(number)]
      if item.delivery?._withUnsafeGuaranteedRef({ $0.publication.keyID }) == key { return number }
      number = item.before
    }
    return -1
  }

  /// Leaves the latest message of each key only.
  @inline(never)
  private func conflateAll() {
    conflatesAll = true
    let latest = ItemIndex()
    index = nil
    var number = tail &- 1
    // The last item stays, so that the ring does not become empty meanwhile.
    while number >= head {
      guard let items else { return }
      let item = items[slot(number)]
      if let delivery = item.delivery?.takeUnretainedValue(), delivery.publication.keyID >= 0 {
        let subscription = UInt(bitPattern: item.subscription.toOpaque())
        if latest.find(subscription, delivery.publication.keyID) >= 0 {
          // A newer one follows in the same subscription.
          pass(item, to: item.after)
          remove(number)
          countConflated(1)
        } else {
          latest.set(subscription, delivery.publication.keyID, number)
        }
      }
      number &-= 1
    }
  }

  /// Its subscription will tell of it in a gap, before its next message or when nothing else waits.
  func dropOldest() {
    guard let items, waiting > 0 else { return }
    let item = items[slot(head)]
    if let delivery = item.delivery?.takeUnretainedValue() {
      let subscription = item.subscription.takeUnretainedValue()
      if subscription.gapFrom == 0 {
        subscription.gapFrom = item.previous &+ 1
        gaps &+= 1
      }
      subscription.gapTo = delivery.offset
    }
    remove(head)
    countDropped(1)
  }

  func removeItems(of subscription: Subscription) {
    while subscription.lastItem >= 0, waiting > 0 {
      remove(subscription.lastItem)
      countDropped(1)
    }
    if waiting == 0 { conflatesAll = false }
  }
}
