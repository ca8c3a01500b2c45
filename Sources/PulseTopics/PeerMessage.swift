// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// One topic that a peer subscribes to.
package struct TopicWish: Equatable, Sendable {
  package var name: [UInt8]
  package var since: ResumePoint?
  package var history = 0

  package init(name: [UInt8] = [], since: ResumePoint? = nil, history: Int = 0) {
    self.name = name
    self.since = since
    self.history = history
  }
}

/// What is wrong with a message of a peer, for the `error` that answers it.
package enum MessageProblem: UInt8, Sendable {
  case badTopics, tooManyTopics, badTopic, badSince, badHistory, badToken

  package var code: Literal { self == .badToken ? "bad_auth" : "bad_request" }

  package var sentence: Literal {
    switch self {
    case .badTopics: "topics has to be an array of 1 to 256 topics"
    case .tooManyTopics: "there are more than 256 topics in one message"
    case .badTopic: "a topic is a name of 1 to 256 bytes without control characters, or an object that has it as topic"
    case .badSince: "since has to be an object with epoch, a text, and offset, a number from 0"
    case .badHistory: "history has to be a number from 0 to 100000"
    case .badToken: "data has to be an object with token, a text of 1 to 8192 bytes"
    }
  }
}

/// A message of a peer, as far as the hub itself answers it.
package struct PeerMessage {
  package enum Content {
    /// `sent`: the number or text of that name, as it stands in the message; empty without one of at most 64 bytes.
    case ping(sent: [UInt8])
    case subscribe([TopicWish])
    case unsubscribe([TopicWish])
    case auth(token: [UInt8])
    /// For the application.
    case application
    case invalid(MessageProblem)
  }

  package static let maxTopics = 256
  package static let maxHistory = 100_000
  package static let maxToken = 8192
  static let maxEcho = 64
  static let maxEpoch = 32

  /// A number or text of at most 64 bytes, as it stands in the message; empty without one. Answers repeat it.
  package var id: [UInt8] = []
  package var content = Content.application

  /// `message` is UTF-8. What is no JSON object of a type that the hub answers is for the application.
  package static func parse(_ message: UnsafeRawBufferPointer) -> PeerMessage {
    var parsed = PeerMessage()
    guard let fields = Fields(message, "type", "id", "topics", "data"), let type = fields.text(0) else { return parsed }
    if type.equals("ping") {
      parsed.content = .ping(sent: echo(Fields(fields.raw(3), "sent", "", "", "")?.raw(0)))
    } else if type.equals("subscribe") {
      parsed.content = topics(fields.raw(2), of: message, subscribes: true)
    } else if type.equals("unsubscribe") {
      parsed.content = topics(fields.raw(2), of: message, subscribes: false)
    } else if type.equals("auth") {
      parsed.content = token(fields.raw(3))
    } else {
      return parsed
    }
    parsed.id = echo(fields.raw(1))
    return parsed
  }

  private static func echo(_ value: UnsafeRawBufferPointer?) -> [UInt8] {
    guard let value, let first = value.first, value.count <= maxEcho else { return [] }
    if first != UInt8(ascii: "\""), first != UInt8(ascii: "-"), first &- UInt8(ascii: "0") > 9 { return [] }
    return [UInt8](value)
  }

  private static func token(_ data: UnsafeRawBufferPointer) -> Content {
    guard let text = Fields(data, "token", "", "", "")?.text(0) else { return .invalid(.badToken) }
    let token = decode(text, maxToken)
    return token.isEmpty ? .invalid(.badToken) : .auth(token: token)
  }

  /// Empty if it is longer.
  @inline(never) private static func decode(_ text: JSONString, _ limit: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    // No escape is longer than six bytes.
    if text.raw.count <= 6 &* limit { text.append(to: &bytes) }
    return bytes.count <= limit ? bytes : []
  }

  /// `symbols` in place of `topics`: their prices, as older services ask for them.
  private static func topics(_ value: UnsafeRawBufferPointer, of message: UnsafeRawBufferPointer, subscribes: Bool) -> Content {
    let isSymbols = value.isEmpty
    var scanner = JSONScanner(isSymbols ? Fields(message, "symbols", "", "", "")?.raw(0) ?? value : value)
    if scanner.next() != UInt8(ascii: "[") || !scanner.enter() { return .invalid(.badTopics) }
    var wishes: [TopicWish] = []
    while scanner.nextElement() == .item {
      if wishes.count == maxTopics { return .invalid(.tooManyTopics) }
      guard let element = scanner.readValue() else { return .invalid(.badTopics) }
      var wish = TopicWish()
      if let problem = read(element, &wish, subscribes) { return .invalid(problem) }
      if isSymbols {
        wish.name = ("price." as Sentence).bytes + wish.name
        if wish.name.count > TopicName.maxSize { return .invalid(.badTopic) }
      }
      wishes.append(wish)
    }
    if wishes.isEmpty { return .invalid(.badTopics) }
    return subscribes ? .subscribe(wishes) : .unsubscribe(wishes)
  }

  private static func read(
    _ element: UnsafeRawBufferPointer, _ wish: inout TopicWish, _ subscribes: Bool
  ) -> MessageProblem? {
    let fields = Fields(element, "topic", "since", "history", "")
    guard let text = fields == nil ? Fields.text(element) : fields?.text(0) else { return .badTopic }
    wish.name = decode(text, TopicName.maxSize)
    if !wish.name.withUnsafeBytes({ TopicName.isValid($0) }) { return .badTopic }
    guard subscribes, let fields else { return nil }
    if fields.has(1) {
      guard let point = resumePoint(fields.raw(1)) else { return .badSince }
      wish.since = point
    }
    if fields.has(2) {
      guard let count = number(fields.raw(2)), count <= UInt64(maxHistory) else { return .badHistory }
      wish.history = Int(count)
    }
    return nil
  }

  private static func resumePoint(_ value: UnsafeRawBufferPointer) -> ResumePoint? {
    guard let fields = Fields(value, "epoch", "offset", "", ""), let text = fields.text(0),
      let offset = number(fields.raw(1))
    else { return nil }
    let epoch = decode(text, maxEpoch)
    return epoch.isEmpty ? nil : ResumePoint(epoch: epoch, offset: offset)
  }

  /// An integer from 0 that a 64-bit one holds.
  @inline(never) private static func number(_ value: UnsafeRawBufferPointer) -> UInt64? {
    if value.isEmpty { return nil }
    var number: UInt64 = 0
    for byte in value {
      let digit = byte &- UInt8(ascii: "0")
      if digit > 9 { return nil }
      let (product, isOver) = number.multipliedReportingOverflow(by: 10)
      let (sum, isBeyond) = product.addingReportingOverflow(UInt64(digit))
      if isOver || isBeyond { return nil }
      number = sum
    }
    return number
  }
}

/// Up to four members of a JSON object, as they stand in the text. Of several with one name the first counts.
private struct Fields {
  private var values: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeRawBufferPointer)
  private static var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

  /// nil if the text is no JSON object. An empty name is none.
  @inline(never)
  init?(_ text: UnsafeRawBufferPointer, _ first: Literal, _ second: Literal, _ third: Literal, _ fourth: Literal) {
    values = (Fields.nothing, Fields.nothing, Fields.nothing, Fields.nothing)
    var scanner = JSONScanner(text)
    if scanner.next() != UInt8(ascii: "{") || !scanner.enter() { return nil }
    var name = JSONString.empty
    while true {
      switch scanner.nextMember(&name) {
      case .invalid: return nil
      case .end:
        if !scanner.isAtEnd() { return nil }
        return
      case .item: break
      }
      guard let value = scanner.readValue() else { return nil }
      if name.raw.isEmpty { continue }
      if name.equals(first) {
        if values.0.isEmpty { values.0 = value }
      } else if name.equals(second) {
        if values.1.isEmpty { values.1 = value }
      } else if name.equals(third) {
        if values.2.isEmpty { values.2 = value }
      } else if name.equals(fourth) {
        if values.3.isEmpty { values.3 = value }
      }
    }
  }

  /// The value; empty if there is none.
  func raw(_ index: Int) -> UnsafeRawBufferPointer {
    switch index {
    case 0: values.0
    case 1: values.1
    case 2: values.2
    default: values.3
    }
  }

  /// There is a value other than null.
  func has(_ index: Int) -> Bool {
    let value = raw(index)
    return !value.isEmpty && value[0] != UInt8(ascii: "n")
  }

  func text(_ index: Int) -> JSONString? { Fields.text(raw(index)) }

  static func text(_ value: UnsafeRawBufferPointer) -> JSONString? {
    if value.count < 2 || value[0] != UInt8(ascii: "\"") { return nil }
    // As if it had escapes: it is decoded or compared once.
    return JSONString(raw: value.unquoted, hasEscapes: true)
  }
}
