// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// What takes what a map makes.
package protocol FeedTaker: AnyObject {
  /// `key` is empty for none, `exchangeTime` (ns since 1970) 0 for not known.
  func take(_ output: FeedOutput)
}

/// What a rule makes of a message, or of an element of it. Its buffers serve one after the other.
package final class FeedOutput {
  package fileprivate(set) var topic: [UInt8] = []
  /// Empty for none.
  package fileprivate(set) var key: [UInt8] = []
  package fileprivate(set) var payload: [UInt8] = []
  /// When the exchange made it, ns since 1970; 0 for not known.
  package fileprivate(set) var exchangeTime: Int64 = 0
  /// Rises with the messages of a topic; twice the number that the map found, and one more for the last of that number.
  /// -1 for none.
  package fileprivate(set) var order: Int64 = -1
  /// How often a rule was for a message, and a field was missing or not of its form.
  package internal(set) var incomplete: UInt64 = 0

  let machine = FeedMachine()

  /// False if a value is missing, or not of its form.
  fileprivate func make(
    _ topic: FeedText, _ key: FeedText, _ time: FeedText, _ order: FeedText, _ payload: FeedText
  ) -> Bool {
    if !run(time, false, &self.payload) || (time.isSet && !machine.isTime) { return false }
    exchangeTime = time.isSet ? machine.time : 0
    if !run(order, false, &self.payload) || (order.isSet && !readOrder()) { return false }
    return run(topic, false, &self.topic) && run(key, false, &self.key) && run(payload, true, &self.payload)
  }

  /// `payload` has digits, and may have ` true` behind them.
  private func readOrder() -> Bool {
    var number: Int64 = 0
    var place = 0
    while place < payload.count, payload[place] &- UInt8(ascii: "0") < 10 {
      if number > Int64.max / 32 { return false }
      number = number &* 10 &+ Int64(payload[place] &- UInt8(ascii: "0"))
      place &+= 1
    }
    order = number &* 2 &+ (FeedText.begins(payload[place...], " true") ? 1 : 0)
    return place > 0
  }

  @inline(never) private func run(_ text: FeedText, _ asJSON: Bool, _ out: inout [UInt8]) -> Bool {
    out.removeAll(keepingCapacity: true)
    return machine.run(text, asJSON: asJSON, into: &out)
  }
}

/// How one kind of upstream message is recognised, and what is published of it.
final class FeedRule {
  static let maxPaths = 32
  static let maxNesting = 3

  enum Line: Int { case match, `where`, each, topic, key, time, order, publish }

  /// Any of them; none takes every message. `elements` likewise of what `each` finds.
  var messages = PatternList()
  var elements = PatternList()
  /// Paths to arrays, one inside the other. `$` is the message itself.
  private var each: [JSONPath] = []
  private var topic = FeedText()
  private var key = FeedText()
  private var time = FeedText()
  private var order = FeedText()
  /// Without it the rule only knows the message.
  private var payload = FeedText()
  /// Of its map.
  var next: FeedRule?
  private var messagePaths: [JSONPath] = []
  private var elementPaths: [JSONPath] = []
  private var messageReader: FieldReader?
  private var elementReader: FieldReader?

  /// The place of a path, which is that of an equal one before; -1 if it is none. `$.` before it is the message's, also with `each`:
  /// such a place is odd.
  func place(_ text: ArraySlice<UInt8>) -> Int {
    guard case .success(let path) = JSONPath.parse(Array(text)) else { return -1 }
    if text.first == UInt8(ascii: "$"), !each.isEmpty { return FeedRule.place(path, &messagePaths) << 1 | 1 }
    return FeedRule.place(path, &elementPaths) << 1
  }

  /// -1 shifted stays negative.
  private static func place(_ path: JSONPath, _ paths: inout [JSONPath]) -> Int {
    for index in 0..<paths.count where paths[index].isSame(as: path) { return index }
    if paths.count == maxPaths { return -1 }
    paths.append(path)
    return paths.count &- 1
  }

  // MARK: Reading its lines

  @inline(never) func add(_ line: Line, _ value: ArraySlice<UInt8>) -> Sentence? {
    switch line {
    case .match: return FeedRule.add(value, to: &messages)
    case .where: return FeedRule.add(value, to: &elements)
    case .each: return addEach(value)
    case .topic: return topic.parse(value, self)
    case .key: return key.parse(value, self)
    case .time: return time.parse(value, self)
    case .order: return order.parse(value, self)
    case .publish: return payload.parse(value, self)
    }
  }

  private static func add(_ value: ArraySlice<UInt8>, to list: inout PatternList) -> Sentence? {
    switch Pattern.parse(Array(value)) {
    case .failure(let problem): return "\(problem.text)"
    case .success(let pattern):
      list.append(pattern)
      return nil
    }
  }

  private func addEach(_ value: ArraySlice<UInt8>) -> Sentence? {
    if hasText || payload.isSet { return "each= comes before topic, key, time, order and publish" }
    if each.count == FeedRule.maxNesting { return "each= nests at most \(FeedRule.maxNesting) times" }
    switch JSONPath.parse(Array(value)) {
    case .failure(let problem): return "\(problem.text)"
    case .success(let path):
      each.append(path)
      return nil
    }
  }

  private var hasText: Bool { topic.isSet || key.isSet || time.isSet || order.isSet }

  /// When all its lines were read: what the rule lacks.
  @inline(never) func finish() -> Sentence? {
    if each.isEmpty, !elements.isEmpty { return "where= is for what each= finds" }
    if time.isSet, !time.isOneExpression { return "time= is one expression, such as ${data.E|ms}" }
    if !payload.isSet { return hasText ? "a rule with topic=, key=, time= or order= needs publish=" : nil }
    if !topic.isSet { return "a rule with publish= needs topic=" }
    if !payload.isJSON { return "what a rule publishes is JSON, with expressions in the place of values" }
    elementReader = FieldReader(keys: [], sequenceKeys: [], numbers: elementPaths)
    if !messagePaths.isEmpty { messageReader = FieldReader(keys: [], sequenceKeys: [], numbers: messagePaths) }
    return nil
  }

  // MARK: Messages

  /// Whether it is for the message; then `taker` has what it makes of it.
  func apply(_ message: UnsafeRawBufferPointer, _ output: FeedOutput, _ taker: FeedTaker) -> Bool {
    if !messages.isEmpty, !messages.matches(message) { return false }
    messageReader?.read(message)
    return visit(message, 0, output, taker)
  }

  /// The elements of an array; true if one is for the rule. A message without the array has no element.
  private func visit(_ value: UnsafeRawBufferPointer, _ level: Int, _ output: FeedOutput, _ taker: FeedTaker) -> Bool {
    if level == each.count { return publish(value, output, taker) }
    guard let array = each[level].isWhole ? value : each[level].value(in: value) else { return false }
    var scanner = JSONScanner(array)
    if scanner.next() != UInt8(ascii: "[") || !scanner.enter() { return false }
    var isMine = false
    while scanner.nextElement() == .item {
      guard let element = scanner.readValue() else { break }
      if visit(element, level &+ 1, output, taker) { isMine = true }
    }
    return isMine
  }

  private func publish(_ element: UnsafeRawBufferPointer, _ output: FeedOutput, _ taker: FeedTaker) -> Bool {
    if !elements.isEmpty, !elements.matches(element) { return false }
    guard payload.isSet, let elementReader else { return true }
    elementReader.read(element)
    output.machine.message = messageReader
    output.machine.element = elementReader
    output.order = -1
    if output.make(topic, key, time, order, payload) { taker.take(output) } else { output.incomplete &+= 1 }
    return true
  }
}

extension FeedText {
  /// Whether it is JSON whatever the values are: strings stand where values may stand.
  @inline(never) var isJSON: Bool {
    var out: [UInt8] = []
    for index in stride(from: 0, to: code.count &- 2, by: 3) {
      if code[index] == Operation.literal { out.append(contentsOf: text[Int(code[index &+ 1])..<Int(code[index &+ 2])]) }
      if code[index] == Operation.put { JSONText.append("\"\"", to: &out) }
    }
    return out.withUnsafeBytes { text in
      var scanner = JSONScanner(text)
      _ = scanner.next()
      return scanner.skipValue() && scanner.isAtEnd()
    }
  }
}
