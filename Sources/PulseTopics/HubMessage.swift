// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import PulseWire

/// Builds the messages of the hub's own, as JSON text for `SharedFrame.text`. Times are in ns since 1970, 0 for not known;
/// an `id` is as it stood in the request, empty for none. Texts that are not UTF-8 are mended.
package enum HubMessage {
  /// `heartbeat` and `resumeWindow` in ns.
  package static func welcome(
    client: [UInt8], hub: [UInt8], heartbeat: Int64, resumeWindow: Int64, time: Int64
  ) -> [UInt8] {
    var text = MessageText("welcome")
    text.open("data")
    text.add("client", client)
    text.add("hub", hub)
    text.add("heartbeat", seconds: heartbeat)
    text.add("time", instant: time)
    text.add("resume_window", seconds: resumeWindow)
    return text.end()
  }

  /// `number` is that in the frames of a binary topic.
  package static func subscribed(_ cut: Cut, id: [UInt8]) -> [UInt8] {
    var text = MessageText("subscribed", id)
    text.add(cut.topic)
    if cut.topic.isBinary { text.add("number", number: UInt64(cut.topic.number)) }
    text.add("epoch", cut.epoch)
    text.add("offset", number: cut.end.offset)
    text.add("recovered", raw: cut.recovered ? Literal("true") : Literal("false"))
    text.add("state", word: cut.state.name)
    return text.end()
  }

  package static func unsubscribed(_ topic: [UInt8], id: [UInt8]) -> [UInt8] {
    var text = MessageText("unsubscribed", id)
    text.add("topic", topic)
    return text.end()
  }

  package static func gap(_ topic: TopicInfo, _ gap: Gap) -> [UInt8] {
    var text = MessageText("gap")
    text.add(topic)
    if gap.from == 0 { text.add("from", raw: Literal("null")) } else { text.add("from", number: gap.from) }
    text.add("to", number: gap.to)
    text.add("cause", word: gap.cause.name)
    return text.end()
  }

  /// `age` in ns since the last message, -1 for not known.
  package static func topicState(
    _ topic: TopicInfo, _ state: TopicState, age: Int64, feed: [UInt8], cause: [UInt8]
  ) -> [UInt8] {
    var text = MessageText("topic_state")
    text.add(topic)
    text.add("state", word: state.name)
    if age < 0 { text.add("age", raw: Literal("null")) } else { text.add("age", seconds: age) }
    if !feed.isEmpty { text.add("feed", feed) }
    if !cause.isEmpty { text.add("cause", cause) }
    return text.end()
  }

  /// `topic` is empty if it is about none; `details` is a JSON object, empty for {}.
  @inline(never) package static func error(
    id: [UInt8], code: Literal, message: [UInt8], topic: [UInt8] = [], details: [UInt8] = []
  ) -> [UInt8] {
    var text = MessageText("error", id)
    if !topic.isEmpty { text.add("topic", topic) }
    text.open("data")
    text.add("code", word: code)
    text.add("message", message)
    if details.isEmpty { text.add("details", raw: Literal("{}")) } else { text.add("details", raw: details) }
    return text.end()
  }

  /// `sent` as it stood in the ping, empty for none.
  package static func pong(id: [UInt8], sent: [UInt8], time: Int64) -> [UInt8] {
    var text = MessageText("pong", id)
    text.open("data")
    if !sent.isEmpty { text.add("sent", raw: sent) }
    text.add("time", milliseconds: time)
    return text.end()
  }

  package static func ping(time: Int64) -> [UInt8] { timed("ping", time) }

  package static func heartbeat(time: Int64) -> [UInt8] { timed("heartbeat", time) }

  @inline(never) private static func timed(_ type: Literal, _ time: Int64) -> [UInt8] {
    var text = MessageText(type)
    text.open("data")
    text.add("time", milliseconds: time)
    return text.end()
  }

  package static func auth(id: [UInt8], user: [UInt8], expires: Int64) -> [UInt8] {
    var text = MessageText("auth", id)
    text.open("data")
    text.add("user", user)
    text.add("expires", instant: expires)
    return text.end()
  }

  /// `remaining` until the token expires, in ns.
  package static func authExpiring(remaining: Int64) -> [UInt8] {
    var text = MessageText("auth_expiring")
    text.open("data")
    text.add("in", seconds: remaining)
    return text.end()
  }
}

/// A JSON object that is written from begin to end.
private struct MessageText {
  private var bytes: [UInt8] = []
  private var depth = 1

  @inline(never) init(_ type: Literal, _ id: [UInt8] = []) {
    bytes.reserveCapacity(192)
    JSONText.append("{\"type\":\"", to: &bytes)
    JSONText.append(type, to: &bytes)
    JSONText.append("\"", to: &bytes)
    if !id.isEmpty { add("id", raw: id) }
  }

  @inline(never) private mutating func begin(_ name: Literal) {
    if bytes.last != UInt8(ascii: "{") { JSONText.append(",", to: &bytes) }
    JSONText.append("\"", to: &bytes)
    JSONText.append(name, to: &bytes)
    JSONText.append("\":", to: &bytes)
  }

  @inline(never) mutating func open(_ name: Literal) {
    begin(name)
    JSONText.append("{", to: &bytes)
    depth &+= 1
  }

  @inline(never) mutating func add(_ name: Literal, _ text: [UInt8]) {
    begin(name)
    let isUTF8 = text.withUnsafeBytes { isValidUTF8($0) }
    JSONText.appendString(isUTF8 ? text : String(bytes: text).bytes, to: &bytes)
  }

  @inline(never) mutating func add(_ topic: TopicInfo) {
    JSONText.append(",", to: &bytes)
    topic.label.withUnsafeBytes { JSONText.append($0, to: &bytes) }
  }

  /// A word that needs no escapes.
  @inline(never) mutating func add(_ name: Literal, word: Literal) {
    begin(name)
    JSONText.append("\"", to: &bytes)
    JSONText.append(word, to: &bytes)
    JSONText.append("\"", to: &bytes)
  }

  @inline(never) mutating func add(_ name: Literal, raw: Literal) {
    begin(name)
    JSONText.append(raw, to: &bytes)
  }

  @inline(never) mutating func add(_ name: Literal, raw: [UInt8]) {
    begin(name)
    raw.withUnsafeBytes { JSONText.append($0, to: &bytes) }
  }

  @inline(never) mutating func add(_ name: Literal, number: UInt64) {
    begin(name)
    JSONText.appendNumber(number, to: &bytes)
  }

  @inline(never) mutating func add(_ name: Literal, seconds: Int64) {
    begin(name)
    JSONText.appendSeconds(seconds, to: &bytes)
  }

  @inline(never) mutating func add(_ name: Literal, milliseconds: Int64) {
    begin(name)
    JSONText.appendMilliseconds(milliseconds, to: &bytes)
  }

  @inline(never) mutating func add(_ name: Literal, instant: Int64) {
    begin(name)
    if instant <= 0 { return JSONText.append("null", to: &bytes) }
    JSONText.append("\"", to: &bytes)
    RFC3339.append(instant, to: &bytes)
    JSONText.append("\"", to: &bytes)
  }

  @inline(never) mutating func end() -> [UInt8] {
    for _ in 0..<depth { JSONText.append("}", to: &bytes) }
    return bytes
  }
}
