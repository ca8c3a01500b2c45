// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// Writes messages in the form `pulse`.
enum Envelope {
  @inline(never) static func frame(
    _ publication: Publication, _ previous: UInt64, _ skipped: UInt64, _ topic: TopicInfo, _ encoder: FrameEncoder
  ) -> SharedFrame {
    let isBinary = publication.isBinary
    encoder.scratch.removeAll(keepingCapacity: true)
    if isBinary {
      appendHeader(publication, topic, to: &encoder.scratch)
    } else {
      appendHead(publication, previous, skipped, topic, to: &encoder.scratch)
    }
    return encoder.made(
      encoder.scratch.withUnsafeBytes {
        SharedFrame(isBinary ? .binary : .text, head: $0, body: publication.payload, tail: isBinary ? nil : UInt8(ascii: "}"))
      })
  }

  /// Of a binary message: the topic's number in 4 bytes, the offset in 8, the highest byte first.
  static func appendHeader(_ publication: Publication, _ topic: TopicInfo, to out: inout [UInt8]) {
    for place in 0..<4 { out.append(UInt8(truncatingIfNeeded: topic.number >> UInt32(24 &- 8 &* place))) }
    for place in 0..<8 { out.append(UInt8(truncatingIfNeeded: publication.offset >> UInt64(56 &- 8 &* place))) }
  }

  /// All before the payload; behind it comes a brace.
  private static func appendHead(
    _ publication: Publication, _ previous: UInt64, _ skipped: UInt64, _ topic: TopicInfo, to out: inout [UInt8]
  ) {
    appendType(publication, to: &out)
    JSONText.append(",", to: &out)
    topic.label.withUnsafeBytes { JSONText.append($0, to: &out) }
    JSONText.append(",\"o\":", to: &out)
    JSONText.appendNumber(publication.offset, to: &out)
    JSONText.append(",\"p\":", to: &out)
    JSONText.appendNumber(previous, to: &out)
    if skipped > 0 {
      JSONText.append(",\"skipped\":", to: &out)
      JSONText.appendNumber(skipped, to: &out)
    }
    appendStamps(publication.stamps, to: &out)
    JSONText.append(",\"data\":", to: &out)
  }

  /// A `snapshot` message. Of a binary topic it says how many binary frames follow as its items.
  @inline(never) static func snapshot(_ cut: Cut) -> [UInt8] {
    var out: [UInt8] = []
    JSONText.append("{\"type\":\"snapshot\",", to: &out)
    cut.topic.label.withUnsafeBytes { JSONText.append($0, to: &out) }
    JSONText.append(",\"epoch\":", to: &out)
    JSONText.appendString(cut.epoch, to: &out)
    JSONText.append(",\"offset\":", to: &out)
    JSONText.appendNumber(cut.end.offset, to: &out)
    if cut.topic.isBinary {
      JSONText.append(",\"binary\":", to: &out)
      JSONText.appendNumber(UInt64(cut.items.count), to: &out)
    }
    JSONText.append(",\"items\":[", to: &out)
    if !cut.topic.isBinary {
      for index in 0..<cut.items.count {
        if index > 0 { JSONText.append(",", to: &out) }
        appendItem(cut.items[index], to: &out)
      }
    }
    JSONText.append("]}", to: &out)
    return out
  }

  /// As an item of a snapshot.
  private static func appendItem(_ publication: Publication, to out: inout [UInt8]) {
    appendType(publication, to: &out)
    JSONText.append(",\"o\":", to: &out)
    JSONText.appendNumber(publication.offset, to: &out)
    appendStamps(publication.stamps, to: &out)
    JSONText.append(",\"data\":", to: &out)
    JSONText.append(publication.payload, to: &out)
    JSONText.append("}", to: &out)
  }

  @inline(never) private static func appendType(_ publication: Publication, to out: inout [UInt8]) {
    JSONText.append("{\"type\":\"", to: &out)
    if publication.type.isEmpty {
      JSONText.append("message", to: &out)
    } else {
      JSONText.append(publication.type, to: &out)
    }
    JSONText.append("\"", to: &out)
  }

  @inline(never) private static func appendStamps(_ stamps: Stamps, to out: inout [UInt8]) {
    JSONText.append(",\"t\":[", to: &out)
    JSONText.appendMilliseconds(stamps.exchange, to: &out)
    JSONText.append(",", to: &out)
    JSONText.appendMilliseconds(stamps.received, to: &out)
    JSONText.append(",", to: &out)
    JSONText.appendMilliseconds(stamps.published, to: &out)
    JSONText.append("]", to: &out)
  }
}
