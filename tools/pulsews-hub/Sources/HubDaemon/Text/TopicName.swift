// SPDX-License-Identifier: Apache-2.0

/// Names of topics and patterns of them, as the library reads them: dots divide segments, `*` is any one, `**` as the last
/// is one or more.
enum TopicName {
  static func matches(_ pattern: String, _ name: String) -> Bool {
    let wanted = pattern.split(separator: ".", omittingEmptySubsequences: false)
    let segments = name.split(separator: ".", omittingEmptySubsequences: false)
    for (index, word) in wanted.enumerated() {
      if word == "**", index == wanted.count - 1 { return segments.count > index }
      guard index < segments.count, word == "*" || word == segments[index] else { return false }
    }
    return segments.count == wanted.count
  }

  /// Which of the patterns counts for a name: the one that says more at the first difference; a word says more than `*`,
  /// and `*` more than `**`. The name may be a pattern, too, whose `*` is then a word.
  static func best(_ patterns: [String], for name: String) -> String? {
    func ranks(_ pattern: String) -> [Int] {
      pattern.split(separator: ".", omittingEmptySubsequences: false).map { $0 == "**" ? 0 : $0 == "*" ? 1 : 2 }
    }
    return patterns.filter { matches($0, name) }.max { ranks($0).lexicographicallyPrecedes(ranks($1)) }
  }

  /// The names that both patterns name, as a pattern; nil if there are none. `other` has no `**`.
  static func intersection(_ pattern: String, _ other: String) -> String? {
    let words = pattern.split(separator: ".", omittingEmptySubsequences: false)
    let others = other.split(separator: ".", omittingEmptySubsequences: false)
    var segments: [Substring] = []
    for (index, theirs) in others.enumerated() {
      guard index < words.count else { return nil }
      if words[index] == "**", index == words.count - 1 { return (segments + others[index...]).joined(separator: ".") }
      if words[index] != theirs, words[index] != "*", theirs != "*" { return nil }
      segments.append(words[index] == "*" ? theirs : words[index])
    }
    return words.count == others.count ? segments.joined(separator: ".") : nil
  }

  /// Whether it can be one segment of a name.
  static func isSegment(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 128 && text != "*" && text != "**"
      && text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F && $0 != "." }
  }
}

/// A topic's name with places for members of a message: "signal.{ticker}".
struct TopicTemplate: Equatable, Sendable {
  private enum Piece: Equatable {
    case text(String)
    case member([String])
  }

  let text: String
  private var pieces: [Piece] = []

  /// nil if a brace is left open, or a place is empty.
  init?(_ text: String) {
    self.text = text
    var rest = text[...]
    while !rest.isEmpty {
      let plain = rest.prefix { $0 != "{" }
      if plain.contains("}") { return nil }
      if !plain.isEmpty { pieces.append(.text(String(plain))) }
      rest = rest.dropFirst(plain.count)
      if rest.isEmpty { break }
      guard let end = rest.firstIndex(of: "}") else { return nil }
      let path = rest[..<end].dropFirst().split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      if path.contains(where: { $0.isEmpty || $0.contains("{") }) { return nil }
      pieces.append(.member(path))
      rest = rest[rest.index(after: end)...]
    }
    if pieces.isEmpty { return nil }
  }

  /// The name for a message; a dot in a value becomes "-", so that it stays one segment. Else the member that is missing.
  func fill(_ json: [UInt8]) -> Result<String, Surroundings.Sentence> {
    var name = ""
    for piece in pieces {
      switch piece {
      case .text(let text): name += text
      case .member(let path):
        let value = JSONScanner.text(json, at: path)?.replacing(".", with: "-") ?? ""
        guard TopicName.isSegment(value) else {
          return .failure(Surroundings.Sentence(text: "the message has no \"\(path.joined(separator: "."))\" that a topic's name can have"))
        }
        name += value
      }
    }
    return .success(name)
  }

  /// The pattern of all names that it can give.
  var pattern: String {
    let marked = pieces.map { piece in if case .text(let text) = piece { text } else { "{" } }.joined()
    return marked.split(separator: ".", omittingEmptySubsequences: false).map { $0.contains("{") ? "*" : String($0) }.joined(separator: ".")
  }
}
