// SPDX-License-Identifier: Apache-2.0

/// A reproducible source of randomness for the property tests (SplitMix64); failures print the seed.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// 0 ..< limit
  mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

  mutating func time(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + Int64(next() % UInt64(range.upperBound - range.lowerBound + 1))
  }
}

let second: Int64 = 1_000_000_000
let millisecond: Int64 = 1_000_000
