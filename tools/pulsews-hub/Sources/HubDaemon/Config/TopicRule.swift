// SPDX-License-Identifier: Apache-2.0

/// How a map names the topics of a stream: what its line `topic=` makes of a symbol and an interval, as the exchange writes them.
struct TopicRule: Equatable, Sendable {
  private enum Function: Equatable {
    case strip([String]), drop([String]), map([String: String]), lower, upper
  }

  private enum Piece: Equatable {
    case text(String)
    /// The first of a topic is its symbol, the second its interval.
    case value([Function])
  }

  private var pieces: [Piece] = []

  /// Of the first rule of that name; nil if the map has none, or makes the name of something else.
  init?(_ stream: String, inMap map: String) {
    guard let template = TopicRule.template(stream, map) else { return nil }
    var rest = template[...]
    while let start = rest.firstRange(of: "${") {
      if start.lowerBound > rest.startIndex { pieces.append(.text(String(rest[..<start.lowerBound]))) }
      guard let end = rest[start.upperBound...].firstIndex(of: "}"), let functions = TopicRule.functions(rest[start.upperBound..<end])
      else { return nil }
      pieces.append(.value(functions))
      rest = rest[rest.index(after: end)...]
    }
    if !rest.isEmpty { pieces.append(.text(String(rest))) }
    if !(1...2).contains(values) { return nil }
  }

  private var values: Int { pieces.count { if case .value = $0 { true } else { false } } }

  private static func template(_ stream: String, _ map: String) -> String? {
    var rule = ""
    for line in map.split(whereSeparator: \.isNewline) {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { trim($0) }
      guard parts.count == 2 else { continue }
      if parts[0] == "rule" { rule = String(parts[1]) }
      if parts[0] == "topic", rule == stream { return String(parts[1]) }
    }
    return nil
  }

  private static func trim(_ text: Substring) -> Substring {
    var text = text
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
  }

  /// Behind the path, of which it is not known what is there: a symbol or an interval, whole or as a part of a text.
  private static func functions(_ expression: Substring) -> [Function]? {
    let parts = expression.split(separator: "|", omittingEmptySubsequences: false).map { trim($0) }
    guard let path = parts.first, path != "received", !path.hasPrefix("mid(") else { return nil }
    var found: [Function] = []
    for part in parts.dropFirst() {
      let name = part.prefix { $0 != "(" }
      let list = part.dropFirst(name.count + 1).dropLast().split(separator: ",").map(String.init)
      switch name {
      case "strip": found.append(.strip(list))
      case "drop": found.append(.drop(list))
      case "map":
        let pairs = list.map { $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init) }
        if pairs.contains(where: { $0.count != 2 }) { return nil }
        found.append(.map(Dictionary(pairs.map { ($0[0], $0[1]) }) { first, _ in first }))
      case "lower": found.append(.lower)
      case "upper": found.append(.upper)
      case "part": break
      default: return nil
      }
    }
    return found
  }

  private static func apply(_ functions: [Function], _ text: String) -> String {
    functions.reduce(text) { text, function in
      switch function {
      case .strip(let ends): ends.first { text.hasSuffix($0) && text != $0 }.map { String(text.dropLast($0.count)) } ?? text
      case .drop(let begins): begins.first { text.hasPrefix($0) && text != $0 }.map { String(text.dropFirst($0.count)) } ?? text
      case .map(let words): words[text] ?? text
      case .lower: text.lowercased()
      case .upper: text.uppercased()
      }
    }
  }

  /// The topic of a message with these.
  func topic(_ symbol: String, _ interval: String) -> String {
    let (before, after) = frame(interval)
    return before + TopicRule.apply(symbolFunctions, symbol) + after
  }

  /// What stands around the symbol.
  func frame(_ interval: String) -> (before: String, after: String) {
    var (before, after, isBehind) = ("", "", false)
    for piece in pieces {
      switch piece {
      case .text(let text) where isBehind: after += text
      case .text(let text): before += text
      case .value(let functions) where isBehind: after += TopicRule.apply(functions, interval)
      case .value: isBehind = true
      }
    }
    return (before, after)
  }

  private var symbolFunctions: [Function] {
    for case .value(let functions) in pieces { return functions }
    return []
  }

  /// What the map takes off the end of a symbol first: the quote currency of its pairs.
  var stripped: String? {
    for case .strip(let ends) in symbolFunctions { return ends.first }
    return nil
  }

  /// Whether its topics differ by interval.
  var hasInterval: Bool { values == 2 }
}
