// SPDX-License-Identifier: Apache-2.0

/// What goes out to one peer: control frames, then messages. It belongs to the loop's thread.
///
///     queue.offer(delivery, subscription)
///     queue.fill(encoder)
///     queue.advance(write(queue.outgoing(0), ...))
package final class PeerQueue {
  package static let maxOutgoing = 64
  package static let maxOutgoingBytes = 256 << 10
  /// What a message costs beside its payload, against `QueueRules.maxBytes`.
  package static let overhead = 128

  package let rules: QueueRules
  /// For the owner.
  package var tag: UInt = 0
  package internal(set) var books = Books()
  /// The youngest subscription; the others follow it as a list.
  package private(set) var firstSubscription: Subscription?

  /// Messages that wait. Items are numbered; number n is in slot n modulo the capacity, and those from `head` to `tail`
  /// are in use. The first one is never a removed one.
  var items: UnsafeMutablePointer<QueueItem>?
  var capacity: Int32 = 0
  var head: Int32 = 0
  var tail: Int32 = 0
  /// Without the removed ones.
  var waiting: Int32 = 0
  /// What was recovered may stand in the queue beyond the limits.
  var extraMessages: Int32 = 0
  /// Subscriptions with a gap that the peer does not know of.
  var gaps: Int32 = 0
  private var subscriptionsCount: Int32 = 0
  /// The peer negotiated compression.
  package let compresses: Bool
  /// It was full: until it is empty, messages of all topics that have keys conflate.
  var conflatesAll = false
  /// The policy says to end the peer.
  package internal(set) var isOverflowed = false
  var extraBytes = 0
  var bytes = 0
  /// Where keys are; nil while there are few items.
  var index: ItemIndex?

  var control: FrameRing?
  var leaving: FrameRing?

  package init(_ rules: QueueRules, compresses: Bool) {
    self.rules = rules
    self.compresses = compresses
  }

  deinit { end() }

  // MARK: Subscriptions

  /// Begins a subscription at a cut's `position`. The owner sees to it that a peer has only one for a topic.
  package func subscribe(_ topic: TopicInfo, _ form: Form, at position: TopicPosition) -> Subscription {
    let subscription = Subscription(topic, form, position)
    subscription.queue = self
    subscription.next = firstSubscription
    firstSubscription = subscription
    subscriptionsCount &+= 1
    return subscription
  }

  /// Ends it; what it has in the queue counts as dropped.
  package func unsubscribe(_ subscription: Subscription) {
    if subscription.queue !== self { return }
    removeItems(of: subscription)
    if subscription.gapFrom != 0 { gaps &-= 1 }
    subscription.queue = nil
    subscriptionsCount &-= 1
    if firstSubscription === subscription {
      firstSubscription = subscription.next
    } else {
      var before = firstSubscription
      while let one = before, one.next !== subscription { before = one.next }
      before?.next = subscription.next
    }
    subscription.next = nil
  }

  @inline(never) package func subscription(to topic: TopicInfo) -> Subscription? {
    var found = firstSubscription
    while let one = found, one.topic !== topic { found = one.next }
    return found
  }

  @inline(never) package func subscription(named name: [UInt8]) -> Subscription? {
    var found = firstSubscription
    while let one = found, one.topic.name != name { found = one.next }
    return found
  }

  package var subscriptionCount: Int { Int(subscriptionsCount) }

  // MARK: Control frames

  /// Queues frames that go before all messages and are never dropped: pongs, answers, snapshots, a close frame.
  package func control(_ frame: SharedFrame) {
    let ring = control ?? FrameRing()
    control = ring
    ring.append(frame, isMessage: false)
  }

  /// Bytes of control frames that wait. The owner stops reading from a peer that lets them grow.
  package var controlBytes: Int { control?.bytes ?? 0 }

  // MARK: Counting

  @inline(__always) func countOffered(_ count: UInt64, conflated: UInt64) {
    books.offered &+= count
    rules.books.offered &+= count
    if conflated > 0 { countConflated(conflated) }
  }

  @inline(never) func countConflated(_ count: UInt64) {
    books.conflated &+= count
    rules.books.conflated &+= count
  }

  @inline(never) func countDropped(_ count: UInt64) {
    books.dropped &+= count
    rules.books.dropped &+= count
  }

  // MARK: Life

  /// Gives back the memory of empty rings: for peers that are idle.
  package func shrink() {
    if waiting == 0, let spare = items {
      rules.give(spare, capacity)
      items = nil
      freeItems()
    }
    if let ring = leaving, ring.count == 0 {
      leaving = nil
      rules.give(ring)
    }
    if control?.count == 0 { control = nil }
  }

  /// The peer is gone: what is queued counts as dropped, all subscriptions end. Nothing may be offered after that.
  package func end() {
    let cut = UInt64(truncatingIfNeeded: leaving?.messages ?? 0)
    if cut > 0 { countDropped(cut) }
    leaving = nil
    control = nil
    discard()
  }

  /// All subscriptions end, and messages that wait count as dropped. Outgoing frames, of which one may be half written, and
  /// control frames still go out.
  package func discard() {
    while waiting > 0 { dropOldest() }
    freeItems()
    gaps = 0
    while let subscription = firstSubscription {
      firstSubscription = subscription.next
      subscription.next = nil
      subscription.queue = nil
    }
    subscriptionsCount = 0
  }
}
