// SPDX-License-Identifier: Apache-2.0

/// Ends the process when what has to hold does not.
func fuzzRequire(_ condition: Bool, _ what: StaticString) {
  if !condition { fatalError("\(what)") }
}

/// A sentence for people: not empty, short, printable ASCII only.
func fuzzRequirePlain(_ sentence: String) {
  fuzzRequire(!sentence.isEmpty && sentence.utf8.count < 500, "a sentence is empty or long")
  fuzzRequire(sentence.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }, "a sentence has a control character")
}

/// Hands `bytes` out in chunks whose sizes follow from `seed`, each in memory of its own, so that the address sanitizer
/// sees a read behind its end; until `body` returns false.
func fuzzChunks(_ bytes: UnsafeRawBufferPointer, seed: UInt8, _ body: (UnsafeRawBufferPointer) -> Bool) {
  var state = UInt32(seed) &+ 1
  var at = 0
  while at < bytes.count {
    state = state &* 1_664_525 &+ 1_013_904_223
    // Small chunks for odd seeds, some large ones for even ones; seed 0 is byte by byte.
    let most: UInt32 = seed == 0 ? 1 : seed % 2 == 1 ? 7 : 300
    let size = min(Int((state >> 16) % most) + 1, bytes.count - at)
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
    defer { chunk.deallocate() }
    chunk.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[at..<(at + size)]))
    at += size
    if !body(UnsafeRawBufferPointer(chunk)) { return }
  }
}

func fuzzSame(_ a: [HTTPHeader], _ b: [HTTPHeader]) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { $0 == $1 }
}
