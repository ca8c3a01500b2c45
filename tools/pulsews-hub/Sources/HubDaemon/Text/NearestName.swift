// SPDX-License-Identifier: Apache-2.0

/// The word that was probably meant.
enum NearestName {
  private static let longest = 64

  /// The candidate with the fewest letters to change, if those are few enough for it to be a slip.
  static func of(_ word: String, among candidates: [String]) -> String? {
    let letters = Array(word.lowercased().utf8.prefix(longest + 1))
    if letters.count > longest { return nil }
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      let distance = distance(letters, Array(candidate.lowercased().utf8.prefix(longest)))
      if distance <= max(1, letters.count / 3), distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.name
  }

  /// Letters to add, leave out, replace, or swap with the next one.
  static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var before: [Int] = []
    var previous = Array(0...right.count)
    for row in 0..<left.count {
      var current = [row + 1]
      for column in 0..<right.count {
        var least = min(previous[column + 1] + 1, current[column] + 1, previous[column] + (left[row] == right[column] ? 0 : 1))
        if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
          least = min(least, before[column - 1] + 1)
        }
        current.append(least)
      }
      before = previous
      previous = current
    }
    return previous[right.count]
  }
}
