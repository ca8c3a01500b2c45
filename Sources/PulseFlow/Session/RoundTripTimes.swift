// SPDX-License-Identifier: Apache-2.0

/// Round-trip times of pings, in nanoseconds.
package struct RoundTripTimes {
  /// p50 and p99 are over this many latest samples.
  package static let window = 256

  package private(set) var count: UInt64 = 0
  package private(set) var last: Int64 = 0
  /// Moving average with weight 1/8 for a new sample, as TCP smooths its own (RFC 6298).
  package private(set) var smoothed: Int64 = 0
  package private(set) var minimum: Int64 = 0
  package private(set) var maximum: Int64 = 0
  private var samples: [Int64] = []

  package init() {}

  package mutating func add(_ sample: Int64) {
    let value = sample < 0 ? 0 : sample
    last = value
    if count == 0 {
      smoothed = value
      minimum = value
      maximum = value
    } else {
      smoothed += (value - smoothed) / 8
      if value < minimum { minimum = value }
      if value > maximum { maximum = value }
    }
    if samples.count < RoundTripTimes.window {
      samples.append(value)
    } else {
      samples[Int(count % UInt64(RoundTripTimes.window))] = value
    }
    count &+= 1
  }

  /// The smallest sample that `share` (0 to 1) of the latest ones do not exceed; 0 without samples.
  package func percentile(_ share: Double) -> Int64 {
    if samples.isEmpty { return 0 }
    let sorted = inOrder()
    var index = Int(share * Double(sorted.count))
    if index >= sorted.count { index = sorted.count - 1 }
    if index < 0 { index = 0 }
    return sorted[index]
  }

  /// Shell's sort: the standard library's is two kilobytes of code, and these are few.
  private func inOrder() -> [Int64] {
    var sorted = samples
    for gap in [57, 23, 10, 4, 1] where gap < sorted.count {
      for index in gap..<sorted.count {
        let sample = sorted[index]
        var place = index
        while place >= gap && sorted[place - gap] > sample {
          sorted[place] = sorted[place - gap]
          place -= gap
        }
        sorted[place] = sample
      }
    }
    return sorted
  }
}
