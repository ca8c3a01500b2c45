// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Explains why there is no such path, by the nearest one that there is.
enum NearestPath {
  private static let maxDistance = 2

  /// Nil if no path is near. `isOther`: looks among those of the other kind.
  @inline(never) static func refusal(
    _ path: [UInt8], kind: RouteTable.Kind, isOther: Bool, _ entries: [RouteTable.Entry]
  ) -> Refusal? {
    for most in 0...maxDistance {
      for entry in entries where !entry.isHidden && (entry.kind != kind) == isOther {
        let asked = head(of: path, like: entry)
        let there = entry.path[...]
        if most == 0, differsBySlash(asked, there) {
          let hasSlash = there.last == UInt8(ascii: "/")
          return refuse(path, entry, isOther, hasSlash ? "has a slash at its end" : "has no slash at its end")
        }
        // Of short paths every one is near.
        if most * 3 > there.count || !isNear(asked, there, most) { continue }
        return refuse(path, entry, isOther, most == 0 ? "differs in upper and lower case" : "is spelled nearly so")
      }
    }
    return nil
  }

  private static func refuse(_ path: [UInt8], _ entry: RouteTable.Entry, _ isOther: Bool, _ how: Literal) -> Refusal {
    var message: Sentence = "there is no path \(quoted: path[...]) here; \(quoted: entry.path[...]) \(how)"
    if isOther {
      message.add(entry.kind == .http ? ", and is for plain HTTP" : ", and is for WebSocket")
    }
    return .noSuchPath(message)
  }

  /// Of a path that may be beneath a prefix, as many segments as the prefix has.
  private static func head(of path: [UInt8], like entry: RouteTable.Entry) -> ArraySlice<UInt8> {
    if !entry.isPrefix { return path[...] }
    var slashes = 0
    for byte in entry.path where byte == UInt8(ascii: "/") { slashes += 1 }
    var end = 0
    while end < path.count, slashes > 0 {
      if path[end] == UInt8(ascii: "/") { slashes -= 1 }
      end += 1
    }
    return path[..<end]
  }

  private static func differsBySlash(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Bool {
    let (short, long) = a.count < b.count ? (a, b) : (b, a)
    return long.count == short.count + 1 && long.last == UInt8(ascii: "/") && HTTPText.same(long.dropLast(), short)
  }

  /// Whether at most `most` letters were left out, added, changed or exchanged with the next one; case does not count.
  private static func isNear(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>, _ most: Int) -> Bool {
    isNear(a, a.startIndex, b, b.startIndex, most)
  }

  /// The same for what begins at `i` of `a` and at `j` of `b`.
  @inline(never)
  private static func isNear(_ a: ArraySlice<UInt8>, _ i: Int, _ b: ArraySlice<UInt8>, _ j: Int, _ most: Int) -> Bool {
    var (i, j) = (i, j)
    if abs((a.endIndex &- i) &- (b.endIndex &- j)) > most { return false }
    while isSame(a, i, b, j) {
      i &+= 1
      j &+= 1
    }
    let left = (a.endIndex &- i, b.endIndex &- j)
    if left.0 == 0 || left.1 == 0 { return left.0 &+ left.1 <= most }
    if most == 0 { return false }
    if isSame(a, i, b, j &+ 1), isSame(a, i &+ 1, b, j), isNear(a, i &+ 2, b, j &+ 2, most &- 1) { return true }
    return isNear(a, i &+ 1, b, j, most &- 1) || isNear(a, i, b, j &+ 1, most &- 1)
      || isNear(a, i &+ 1, b, j &+ 1, most &- 1)
  }

  /// False behind an end.
  @inline(never) private static func isSame(_ a: ArraySlice<UInt8>, _ i: Int, _ b: ArraySlice<UInt8>, _ j: Int) -> Bool {
    i < a.endIndex && j < b.endIndex && HTTPText.lower(a[i]) == HTTPText.lower(b[j])
  }
}
