// SPDX-License-Identifier: Apache-2.0

/// One peer's subscription to one topic. It belongs to the loop's thread, and to the `PeerQueue` that made it.
package final class Subscription {
  package let topic: TopicInfo
  package let form: Form
  /// For the owner: the application gave it to the peer, whatever the peer's rights are.
  package var isGiven = false
  /// For the owner: where it stands in the loop's list of the topic's subscribers.
  package var place: Int32 = -1
  /// The queue of the peer; nil when the subscription has ended.
  package internal(set) var queue: PeerQueue? {
    get { reference?.takeUnretainedValue() }
    set { reference = newValue.map { Unmanaged.passUnretained($0) } }
  }
  private var reference: Unmanaged<PeerQueue>?
  /// Where the queue is, without touching it.
  package var queueAddress: UnsafeRawPointer? { reference.map { UnsafeRawPointer($0.toOpaque()) } }
  /// The one of the same peer that began before it.
  package internal(set) var next: Subscription?

  /// Behind the last message that was offered.
  package internal(set) var position: TopicPosition
  /// The last item in the queue; -1 without one.
  var lastItem: Int32 = -1
  /// Messages that were dropped, of which the peer does not know; 0 without.
  var gapFrom: UInt64 = 0
  var gapTo: UInt64 = 0

  init(_ topic: TopicInfo, _ form: Form, _ position: TopicPosition) {
    self.topic = topic
    self.form = form
    self.position = position
  }
}
