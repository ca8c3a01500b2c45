// SPDX-License-Identifier: Apache-2.0

/// Patterns of which any may match.
package struct PatternList: Sendable {
  private var patterns: [Pattern] = []

  package init() {}

  package var isEmpty: Bool { patterns.isEmpty }
  package var count: Int { patterns.count }

  package mutating func append(_ pattern: Pattern) { patterns.append(pattern) }

  /// A pattern in each line that is not empty; none for an empty text.
  @inline(never) package static func parse(lines text: [UInt8]) -> Result<PatternList, PatternProblem> {
    var list = PatternList()
    var start = 0
    for end in 0...text.count where end == text.count || text[end] == UInt8(ascii: "\n") {
      if end > start {
        switch Pattern.parse(Array(text[start..<end])) {
        case .success(let pattern): list.append(pattern)
        case .failure(let problem): return .failure(problem)
        }
      }
      start = end &+ 1
    }
    return .success(list)
  }

  @inline(__always) package func matches(_ message: UnsafeRawBufferPointer) -> Bool { !isEmpty && hasMatch(message) }

  @inline(never) private func hasMatch(_ message: UnsafeRawBufferPointer) -> Bool {
    for pattern in patterns where pattern.matches(message) { return true }
    return false
  }

  /// Finds the next pattern that matches, from the `index`th on. False if there is none.
  @inline(never) package func next(
    _ message: UnsafeRawBufferPointer, _ index: inout Int, _ capture: inout PatternCapture
  ) -> Bool {
    while index < patterns.count {
      index &+= 1
      if patterns[index &- 1].matches(message, &capture) { return true }
    }
    return false
  }

  /// The id under which a request will be answered: its member of the name that `${id}` has here. Empty if there is none.
  @inline(never) package func requestID(of request: [UInt8]) -> [UInt8] {
    for pattern in patterns {
      for node in pattern.nodes where node.kind == .id {
        let id = request.withUnsafeBytes { request in
          pattern.bytes.withUnsafeBytes { bytes in
            let name = UnsafeRawBufferPointer(rebasing: bytes[node.nameStart..<(node.nameStart &+ node.nameCount)])
            return JSONPath.value(name, request).map { [UInt8](withoutQuotes($0)) }
          }
        }
        if let id { return id }
      }
    }
    return []
  }
}
