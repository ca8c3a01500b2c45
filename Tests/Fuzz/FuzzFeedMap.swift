// SPDX-License-Identifier: Apache-2.0

/// A feed's map up to the first NUL, then messages with NUL between: whatever they are, what is published is JSON.
func fuzzFeedMap(_ bytes: UnsafeRawBufferPointer) {
  var parts = bytes.split(separator: 0, omittingEmptySubsequences: false)[...]
  guard let text = parts.popFirst() else { return }
  var problem: Sentence = ""
  guard let map = FeedMap.parse(Array(text), &problem) else {
    fuzzRequire(!problem.bytes.isEmpty, "nothing is said about a map that was refused")
    return
  }
  let taker = FeedChecker()
  for part in parts {
    // In memory of its own, so that the address sanitizer sees a read behind its end. What is not UTF-8 comes no further.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: part.count, alignment: 1)
    defer { memory.deallocate() }
    memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: part))
    if !isValidUTF8(UnsafeRawBufferPointer(memory)) { continue }
    let before = map.incomplete
    taker.count = 0
    let isMatched = map.apply(UnsafeRawBufferPointer(memory), receivedAt: Int64.max, taker)
    fuzzRequire(isMatched || (taker.count == 0 && map.incomplete == before), "made of a message that no rule is for")
  }
}

private final class FeedChecker: FeedTaker {
  var count = 0

  func take(_ output: FeedOutput) {
    count += 1
    output.payload.withUnsafeBytes { payload in
      var scanner = JSONScanner(payload)
      _ = scanner.next()
      // Values stand as they came: there may be more of them inside than a scanner goes.
      fuzzRequire(scanner.skipValue() ? scanner.isAtEnd() : payload.count > 128, "what is published is no JSON")
    }
  }
}
