// SPDX-License-Identifier: Apache-2.0
import PulseWire

/// Frames go out.
extension PeerQueue {
  /// There is something to write, or to move to what is written.
  package var hasWork: Bool { waiting > 0 || gaps > 0 || (leaving?.count ?? 0) > 0 || (control?.count ?? 0) > 0 }

  /// Messages that wait or are outgoing.
  package var queuedMessages: Int { Int(waiting) &+ Int(leaving?.messages ?? 0) }

  /// Moves frames to the outgoing ones, until there are `maxOutgoing` or `maxOutgoingBytes`. Those are neither conflated nor dropped.
  @_optimize(speed)
  package func fill(_ encoder: FrameEncoder) {
    if waiting == 0, gaps == 0, control == nil { return }
    let ring = leaving ?? rules.takeRing()
    leaving = ring
    while Int(ring.count) < PeerQueue.maxOutgoing, ring.bytes < PeerQueue.maxOutgoingBytes {
      if control != nil {
        moveControl(ring)
      } else if waiting > 0 {
        moveItem(ring, encoder)
      } else if gaps > 0 {
        moveGaps(ring)
      } else {
        break
      }
    }
  }

  /// What was dropped last of a subscription, when the messages of others took its place.
  @inline(never) private func moveGaps(_ ring: FrameRing) {
    var next = firstSubscription
    while let subscription = next {
      if subscription.gapFrom != 0 { _ = moveGap(of: subscription, ring) }
      next = subscription.next
    }
    gaps = 0
  }

  private func moveControl(_ ring: FrameRing) {
    if let frame = control?.take() { ring.append(frame, isMessage: false) }
    if control?.count == 0 { control = nil }
  }

  @inline(__always)
  private func moveItem(_ ring: FrameRing, _ encoder: FrameEncoder) {
    guard let items else { return }
    let item = items[slot(head)]
    if gaps > 0, moveGap(before: item, ring) {
      // The message follows in the next turn of the loop, if there is room.
      return
    }
    guard let frame = frame(of: item, encoder) else { return }
    ring.append(frame, isMessage: true)
    if extraMessages > 0 {
      extraMessages &-= 1
      extraBytes = max(0, extraBytes &- (item.delivery?._withUnsafeGuaranteedRef { $0.cost } ?? 0))
    }
    remove(head)
    if waiting == 0 { conflatesAll = false }
  }

  @inline(__always)
  private func frame(of item: QueueItem, _ encoder: FrameEncoder) -> SharedFrame? {
    guard let delivery = item.delivery else { return nil }
    return item.subscription._withUnsafeGuaranteedRef { subscription in
      delivery._withUnsafeGuaranteedRef { delivery in
        let isShared = item.previous == delivery.previous && item.skipped == delivery.skipped
        return isShared || subscription.form == .plain || delivery.publication.isBinary
          ? delivery.frame(subscription.form, compressed: compresses, subscription.topic, encoder)
          : variant(item, delivery, subscription, encoder)
      }
    }
  }

  /// True if a frame went out for what was dropped of the item's subscription.
  @inline(never) private func moveGap(before item: QueueItem, _ ring: FrameRing) -> Bool {
    let subscription = item.subscription.takeUnretainedValue()
    return subscription.gapFrom != 0 && moveGap(of: subscription, ring)
  }

  /// True if a frame went out for it: who gets messages as they were published sees no gaps.
  @inline(never) private func moveGap(of subscription: Subscription, _ ring: FrameRing) -> Bool {
    let gap = Gap(from: subscription.gapFrom, to: subscription.gapTo, cause: .slow)
    subscription.gapFrom = 0
    gaps &-= 1
    if subscription.form == .plain { return false }
    ring.append(SharedFrame.text(HubMessage.gap(subscription.topic, gap)), isMessage: false)
    rules.gapsSent &+= 1
    return true
  }

  /// For a peer that got other messages before than the others.
  @inline(never)
  private func variant(
    _ item: QueueItem, _ delivery: Delivery, _ subscription: Subscription, _ encoder: FrameEncoder
  ) -> SharedFrame {
    let frame = Envelope.frame(delivery.publication, item.previous, item.skipped, subscription.topic, encoder)
    return compresses ? encoder.compress(frame, .text) : frame
  }

  package var outgoingCount: Int { Int(leaving?.count ?? 0) }
  package var outgoingBytes: Int { leaving?.bytes ?? 0 }

  /// What is to be written, the first one without what was written of it; valid until `advance`.
  package func outgoing(_ index: Int) -> UnsafeRawBufferPointer {
    leaving?.rest(index) ?? UnsafeRawBufferPointer(start: nil, count: 0)
  }

  /// All of it, one frame behind the other.
  package func joinOutgoing(into joined: inout ByteQueue) { leaving?.join(into: &joined) }

  /// So many bytes were written.
  package func advance(_ bytes: Int) {
    guard let ring = leaving else { return }
    let written = UInt64(truncatingIfNeeded: ring.advance(bytes))
    books.written &+= written
    rules.books.written &+= written
    if ring.count == 0, ring.isLarge { leaving = nil }
  }
}
