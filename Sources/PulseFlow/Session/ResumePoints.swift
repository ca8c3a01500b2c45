// SPDX-License-Identifier: Apache-2.0
import PulseText

/// How far each topic of a hub has come, by its messages in the form pulse.v1: where the next connection goes on. What it is
/// shown is in the order in which the application gets it. Not thread safe; its owner locks.
package final class ResumePoints {
  /// What a message is.
  package enum News {
    case none
    /// The application has it.
    case repeated
    /// The hub says that messages are missing, from the first to the last; what a topic had is not known after a restart.
    case gap(topic: [UInt8], from: Int64?, to: Int64)
  }

  private static let longestEpoch = 32

  private let topics: KeyTable
  /// By the number of the topic: empty where it is not known, and the offset of the last message.
  private var epochs: [[UInt8]] = []
  private var offsets: [Int64] = []
  /// The epoch that a subscription began with which could not go on: the place before stays until the gap has been told, so
  /// that a connection that ends in between does not lose it.
  private var fresh: [[UInt8]] = []

  package init(seed: UInt64) { topics = KeyTable(seed: seed) }

  // MARK: Messages

  private enum Kind { case published, subscribed, gap, other }

  /// Members before `o`, or all of them; those that are not there are empty or -1.
  private struct Fields {
    var kind = Kind.other
    var topic: [UInt8] = []
    var epoch: [UInt8] = []
    var offset: Int64 = -1
    var from: Int64 = -1
    var to: Int64 = -1
    var isRecovered = false
  }

  package func take(_ message: UnsafeRawBufferPointer) -> News {
    var fields = Fields()
    if !ResumePoints.read(message, &fields) || fields.topic.isEmpty { return .none }
    let place = fields.topic.withUnsafeBytes { topics.index(of: $0) }
    if place < 0 { return .none }
    while epochs.count <= place {
      epochs.append([])
      offsets.append(0)
      fresh.append([])
    }
    switch fields.kind {
    case .published:
      if fresh[place].isEmpty, fields.offset <= offsets[place] { return epochs[place].isEmpty ? .none : .repeated }
      move(place, to: fields.offset)
    case .subscribed:
      fresh[place] = []
      if fields.isRecovered || fields.offset < 0 { return .none }
      fresh[place] = fields.epoch
      if epochs[place].isEmpty { move(place, to: fields.offset) }
    case .gap:
      if fields.to < 0 { return .none }
      move(place, to: fresh[place].isEmpty ? max(offsets[place], fields.to) : fields.to)
      return .gap(topic: fields.topic, from: fields.from < 0 ? nil : fields.from, to: fields.to)
    case .other: break
    }
    return .none
  }

  /// What came before is behind it.
  private func move(_ place: Int, to offset: Int64) {
    if !fresh[place].isEmpty { epochs[place] = fresh[place] }
    fresh[place] = []
    offsets[place] = offset
  }

  /// A published message has `o` before what may be long; no other one has it.
  private static func read(_ message: UnsafeRawBufferPointer, _ fields: inout Fields) -> Bool {
    var scanner = JSONScanner(message)
    if scanner.next() != UInt8(ascii: "{") || !scanner.enter() { return false }
    var name = JSONString.empty
    while true {
      switch scanner.nextMember(&name) {
      case .invalid: return false
      case .end: return true
      case .item: break
      }
      guard let value = scanner.readValue() else { return false }
      if named(name, "o") {
        fields.kind = .published
        fields.offset = number(value)
        return true
      }
      if named(name, "type") {
        fields.kind = isWord(value, "\"subscribed\"") ? .subscribed : isWord(value, "\"gap\"") ? .gap : .other
      } else if named(name, "topic") {
        fields.topic = text(value, KeyTable.maxKeySize)
      } else if named(name, "epoch") {
        fields.epoch = text(value, longestEpoch)
      } else if named(name, "recovered") {
        fields.isRecovered = isWord(value, "true")
      } else if named(name, "offset") {
        fields.offset = number(value)
      } else if named(name, "from") {
        fields.from = number(value)
      } else if named(name, "to") {
        fields.to = number(value)
      }
    }
  }

  private static func named(_ name: JSONString, _ word: Literal) -> Bool { name.equals(UnsafeRawBufferPointer(word.bytes)) }

  /// Empty for what is no text, or too long.
  private static func text(_ value: UnsafeRawBufferPointer, _ most: Int) -> [UInt8] {
    var out: [UInt8] = []
    if value.count < 2 || value[0] != UInt8(ascii: "\"") || value.count > 6 &* most { return out }
    JSONString(raw: value.unquoted, hasEscapes: true).append(to: &out)
    return out.count <= most ? out : []
  }

  /// -1 for what is no number from 0 to the largest that doubles tell from all others.
  private static func number(_ value: UnsafeRawBufferPointer) -> Int64 {
    var number: Int64 = 0
    for byte in value {
      let digit = byte &- UInt8(ascii: "0")
      if digit > 9 || number > 900_719_925_474_099 { return -1 }
      number = number &* 10 &+ Int64(digit)
    }
    return value.isEmpty ? -1 : number
  }

  // MARK: Subscribing

  /// Appends a message that subscribes to these, each from where it has come to.
  package func appendSubscribe(_ keys: [[UInt8]], id: UInt64, to out: inout [UInt8]) {
    JSONText.append("{\"type\":\"subscribe\",\"id\":", to: &out)
    JSONText.appendNumber(id, to: &out)
    JSONText.append(",\"topics\":[", to: &out)
    for index in 0..<keys.count {
      JSONText.append(index == 0 ? "{\"topic\":" : ",{\"topic\":", to: &out)
      JSONText.appendString(keys[index], to: &out)
      let place = keys[index].withUnsafeBytes { topics.find($0) }
      if place >= 0, place < epochs.count, !epochs[place].isEmpty {
        JSONText.append(",\"since\":{\"epoch\":", to: &out)
        JSONText.appendString(epochs[place], to: &out)
        JSONText.append(",\"offset\":", to: &out)
        JSONText.appendNumber(offsets[place], to: &out)
        JSONText.append("}", to: &out)
      }
      JSONText.append("}", to: &out)
    }
    JSONText.append("]}", to: &out)
  }

  /// Whoever subscribes to it anew begins anew.
  package func forget(_ key: [UInt8]) {
    let place = key.withUnsafeBytes { topics.find($0) }
    if place < 0 || place >= epochs.count { return }
    epochs[place] = []
    offsets[place] = 0
    fresh[place] = []
  }
}
