// SPDX-License-Identifier: Apache-2.0
import PulseWire

/// Messages of a topic that were read together. A peer that has nothing else to get, and was in step, gets them in one
/// write: their frames stand one behind another, put together once for all such peers.
package final class DeliveryRun {
  private static let maxBytes = 16 << 10

  private let deliveries: [Delivery]
  private let before: TopicPosition
  private let end: TopicPosition
  private var frames: (SharedFrame?, SharedFrame?, SharedFrame?, SharedFrame?)

  /// nil if they are too many for one write, or a queue would conflate them.
  package init?(_ deliveries: [Delivery], of topic: TopicInfo) {
    guard let first = deliveries.first, let last = deliveries.last else { return nil }
    if deliveries.count > 1 {
      if topic.conflates, topic.settings.flush == 0 { return nil }
      var bytes = 0
      for delivery in deliveries { bytes &+= delivery.cost }
      if deliveries.count > PeerQueue.maxOutgoing || bytes > DeliveryRun.maxBytes { return nil }
    }
    self.deliveries = deliveries
    before = TopicPosition(offset: first.previous, ordinal: first.publication.ordinal &- first.skipped &- 1)
    end = TopicPosition(offset: last.offset, ordinal: last.publication.ordinal)
  }

  /// Whether it is what the peer gets next; the owner has nothing else to write either.
  @inline(__always) package func isNext(for subscription: Subscription, _ queue: PeerQueue) -> Bool {
    subscription.position == before && !queue.hasWork && !queue.isOverflowed
  }

  package func frame(_ subscription: Subscription, _ queue: PeerQueue, _ encoder: FrameEncoder) -> SharedFrame {
    if subscription.form == .pulse {
      return queue.compresses
        ? frame(&frames.0, subscription, true, encoder) : frame(&frames.1, subscription, false, encoder)
    }
    return queue.compresses ? frame(&frames.2, subscription, true, encoder) : frame(&frames.3, subscription, false, encoder)
  }

  @inline(__always)
  private func frame(
    _ kept: inout SharedFrame?, _ subscription: Subscription, _ compressed: Bool, _ encoder: FrameEncoder
  ) -> SharedFrame {
    if let kept { return kept }
    let made = join(subscription, compressed, encoder)
    kept = made
    return made
  }

  @inline(never)
  private func join(_ subscription: Subscription, _ compressed: Bool, _ encoder: FrameEncoder) -> SharedFrame {
    var joined = ByteQueue()
    for delivery in deliveries {
      let frame = delivery.frame(subscription.form, compressed: compressed, subscription.topic, encoder)
      if deliveries.count == 1 { return frame }
      joined.append(frame.bytes)
    }
    return SharedFrame(copying: joined.readable)
  }

  /// The peer has all of it.
  @inline(__always) package func wasWritten(_ subscription: Subscription, _ queue: PeerQueue) {
    let offered = end.ordinal &- before.ordinal
    let written = UInt64(truncatingIfNeeded: deliveries.count)
    subscription.position = end
    queue.countOffered(offered, conflated: offered &- written)
    queue.books.written &+= written
    queue.rules.books.written &+= written
  }

  /// Not all of it has left: it stands at the front of what is written next.
  package func wasCut(_ subscription: Subscription, _ queue: PeerQueue, _ encoder: FrameEncoder) {
    for delivery in deliveries { queue.resume(delivery, subscription) }
    queue.fill(encoder)
  }
}
