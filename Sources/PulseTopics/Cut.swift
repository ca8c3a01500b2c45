// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// Where a peer wants to go on.
package struct ResumePoint: Equatable, Sendable {
  package var epoch: [UInt8]
  package var offset: UInt64

  package init(epoch: [UInt8], offset: UInt64) {
    self.epoch = epoch
    self.offset = offset
  }
}

/// What a subscribing peer asks a topic for.
package struct SubscribeWish {
  package var since: ResumePoint?
  /// How many past messages it wants as a snapshot; 0 for what the topic gives of itself.
  package var history = 0
  package var form = Form.pulse
  /// The peer negotiated compression.
  package var compressed = false
  /// The most messages that may be recovered: `PeerQueue.resumeRoom`.
  package var most = Int.max

  package init() {}
}

/// A topic at the instant of a subscription. To be answered, in this order: `HubMessage.subscribed`, the gap, the snapshot
/// (all three as control frames), then the deliveries.
package struct Cut {
  package let topic: TopicInfo
  package let epoch: [UInt8]
  /// The topic's end: the offset of `subscribed`.
  package let end: TopicPosition
  /// Where the subscription begins: give it to `PeerQueue.subscribe`.
  package internal(set) var position: TopicPosition
  package let state: TopicState
  /// `deliveries` are all that the peer misses: give them to `PeerQueue.resume`.
  package internal(set) var recovered = false
  package internal(set) var deliveries: [Delivery] = []
  /// What is lost for the peer.
  package internal(set) var gap: Gap?
  /// `snapshotFrame` may have something.
  package internal(set) var hasSnapshot = false

  var form = Form.pulse
  var isCompressed = false
  /// How many messages the snapshot has; -1 for the latest of each key.
  var history = -1
  var cached: SharedFrame?
  var items: [Publication] = []

  init(topic: TopicInfo, epoch: [UInt8], end: TopicPosition, state: TopicState) {
    self.topic = topic
    self.epoch = epoch
    self.end = end
    position = end
    self.state = state
  }

  /// Its `snapshot` message.
  package var text: [UInt8] { Envelope.snapshot(self) }

  /// The frames of the snapshot, for `Topic.keep`; nil if there is nothing to send. Needs no lock: publications don't
  /// change.
  package func snapshotFrame(_ encoder: FrameEncoder) -> SharedFrame? {
    if !hasSnapshot { return nil }
    if let cached { return cached }
    if form == .plain { return items.isEmpty ? nil : published(encoder) }
    let text = encoder.made(SharedFrame.text(Envelope.snapshot(self)))
    if topic.isBinary { return withBinaryItems(text) }
    return isCompressed ? encoder.compress(text, .text) : text
  }

  /// As they were published, one behind another.
  private func published(_ encoder: FrameEncoder) -> SharedFrame {
    var frames: [UInt8] = []
    for item in items {
      append(SharedFrame(item.isBinary ? .binary : .text, item.payload), to: &frames)
    }
    return encoder.made(frames.withUnsafeBytes { SharedFrame(copying: $0) })
  }

  private func withBinaryItems(_ text: SharedFrame) -> SharedFrame {
    var frames: [UInt8] = []
    var head: [UInt8] = []
    append(text, to: &frames)
    for item in items {
      head.removeAll(keepingCapacity: true)
      Envelope.appendHeader(item, topic, to: &head)
      let frame = head.withUnsafeBytes { SharedFrame(.binary, head: $0, body: item.payload, tail: nil) }
      append(frame, to: &frames)
    }
    return frames.withUnsafeBytes { SharedFrame(copying: $0) }
  }

  private func append(_ frame: SharedFrame, to out: inout [UInt8]) {
    withExtendedLifetime(frame) { JSONText.append(frame.bytes, to: &out) }
  }
}
