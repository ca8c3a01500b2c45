// SPDX-License-Identifier: Apache-2.0

/// A value and the line that it is from.
struct Located<Value> {
  let value: Value
  let line: Int
}

extension Located: Sendable where Value: Sendable {}

extension Located: Equatable where Value: Equatable {
  /// The same, wherever it stands: a line that moves is no change.
  static func == (left: Located, right: Located) -> Bool { left.value == right.value }
}

/// One table of the configuration, read key by key. What nobody has asked for is an unknown key.
final class Section {
  let title: String
  let line: Int
  let findings: Findings
  let surroundings: Surroundings
  private let members: [(key: String, node: ConfigNode)]
  private var known: [String] = []

  init(_ title: String, _ node: ConfigNode, _ findings: Findings, _ surroundings: Surroundings) {
    self.title = title
    line = node.line
    self.findings = findings
    self.surroundings = surroundings
    if case .table(let members) = node.value {
      self.members = members
    } else {
      members = []
      findings.error(node.line, "\(title) is a table, and not \(node.kind)")
    }
  }

  func node(_ key: String) -> ConfigNode? {
    known.append(key)
    return members.first { $0.key == key }?.node
  }

  /// All members, such as the tables of `[topic."price.*"]`.
  func all() -> [(key: String, node: ConfigNode)] {
    known += members.map(\.key)
    return members
  }

  /// Errors for the keys that nobody has asked for.
  func finish() {
    for (key, node) in members where !known.contains(key) {
      let candidates = known.filter { !$0.hasSuffix("_env") || key.hasSuffix("_env") }
      let hint = NearestName.of(key, among: candidates).map { "; \"\($0)\" is spelled nearly so" } ?? ""
      findings.error(node.line, "there is no \"\(key)\" in \(title)\(hint)")
    }
  }

  private func wrong(_ key: String, _ node: ConfigNode, _ wanted: String) {
    findings.error(node.line, "\"\(key)\" of \(title) is \(wanted), and not \(node.kind)")
  }

  // MARK: Single values

  func text(_ key: String, allowed: [String]? = nil) -> Located<String>? {
    guard let node = node(key) else { return nil }
    guard case .text(let text) = node.value else {
      wrong(key, node, "a text")
      return nil
    }
    if let allowed, !allowed.contains(text) {
      findings.error(node.line, "\"\(key)\" of \(title) is one of \(allowed.joined(separator: ", ")), and not \"\(text)\"")
      return nil
    }
    return Located(value: text, line: node.line)
  }

  /// A text that may stand in a file (`KEY_file`) or in the environment (`KEY_env`) instead.
  func secret(_ key: String) -> Located<String>? {
    let inside = text(key)
    if let inside { findings.keep(secret: inside.value, inFileAt: inside.line) }
    let outside = elsewhere(key)
    if let inside, outside != nil { findings.error(inside.line, "\"\(key)\" of \(title) is given twice") }
    return inside ?? outside
  }

  /// What `KEY_file` or `KEY_env` stand for.
  func elsewhere(_ key: String) -> Located<String>? {
    let file = text("\(key)_file").flatMap { read($0, "\(key)_file") }
    let variable = text("\(key)_env").flatMap { name -> Located<String>? in
      if let value = surroundings.environment[name.value], !value.isEmpty { return Located(value: value, line: name.line) }
      findings.error(name.line, "\"\(key)_env\" of \(title): there is no variable \(name.value) in the environment")
      return nil
    }
    if let file, variable != nil { findings.error(file.line, "\"\(key)\" of \(title) is given twice") }
    let found = file ?? variable
    if let found { findings.keep(secret: found.value, inFileAt: nil) }
    return found
  }

  private func read(_ path: Located<String>, _ key: String) -> Located<String>? {
    switch surroundings.resolve(path.value).flatMap({ surroundings.readFile($0) }) {
    case .failure(let problem):
      findings.error(path.line, "\"\(key)\" of \(title): \(problem.text)")
      return nil
    case .success(var text):
      while text.last?.isNewline == true { text.removeLast() }
      if text.isEmpty {
        findings.error(path.line, "\"\(key)\" of \(title): \(path.value) is empty")
        return nil
      }
      return Located(value: text, line: path.line)
    }
  }

  func flag(_ key: String) -> Bool? {
    guard let node = node(key) else { return nil }
    if case .boolean(let value) = node.value { return value }
    wrong(key, node, "true or false")
    return nil
  }

  func count(_ key: String, _ range: ClosedRange<Int>) -> Int? {
    guard let node = node(key) else { return nil }
    let wanted = "a number from \(range.lowerBound) to \(range.upperBound)"
    guard case .integer(let value) = node.value else {
      wrong(key, node, wanted)
      return nil
    }
    if range.contains(value) { return value }
    findings.error(node.line, "\"\(key)\" of \(title) is \(wanted), and not \(value)")
    return nil
  }

  /// Nanoseconds: a number of seconds, or a text with a unit.
  func time(_ key: String, _ allowed: String, _ range: ClosedRange<Int64>) -> Int64? {
    quantity(key, "a time of \(allowed), such as \"30s\"", range, Quantity.time)
  }

  /// Bytes.
  func size(_ key: String, _ allowed: String, _ range: ClosedRange<Int64>) -> Int64? {
    quantity(key, "a size of \(allowed), such as \"64KiB\"", range, Quantity.size)
  }

  private func quantity(_ key: String, _ wanted: String, _ range: ClosedRange<Int64>, _ parse: (String) -> Int64?) -> Int64? {
    guard let node = node(key) else { return nil }
    let text: String
    switch node.value {
    case .text(let value): text = value
    case .integer(let value): text = "\(value)"
    case .number(let value): text = "\(value)"
    default:
      wrong(key, node, wanted)
      return nil
    }
    if let value = parse(text), range.contains(value) { return value }
    findings.error(node.line, "\"\(key)\" of \(title) is \(wanted), and not \"\(text)\"")
    return nil
  }

  // MARK: Lists

  /// One text or a list of them.
  func texts(_ key: String) -> [Located<String>]? {
    guard let node = node(key) else { return nil }
    let elements: [ConfigNode]
    if case .list(let list) = node.value { elements = list } else { elements = [node] }
    var texts: [Located<String>] = []
    for element in elements {
      guard case .text(let text) = element.value else {
        wrong(key, element, "a text or a list of texts")
        return nil
      }
      texts.append(Located(value: text, line: node.line))
    }
    return texts
  }
}
