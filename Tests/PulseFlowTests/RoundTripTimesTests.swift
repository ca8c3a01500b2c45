// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

@Suite struct RoundTripTimesTests {
  @Test func nothingIsKnownAtFirst() {
    let times = RoundTripTimes()
    #expect(times.count == 0 && times.last == 0 && times.percentile(0.5) == 0)
  }

  @Test func theFirstSampleIsEverything() {
    var times = RoundTripTimes()
    times.add(40)
    #expect(times.last == 40 && times.smoothed == 40 && times.minimum == 40 && times.maximum == 40)
    #expect(times.percentile(0.5) == 40 && times.percentile(0.99) == 40)
  }

  @Test func percentilesAreOfTheLatestSamples() {
    var times = RoundTripTimes()
    for _ in 0..<1000 { times.add(1_000_000) }
    for value in 1...RoundTripTimes.window { times.add(Int64(value)) }
    #expect(times.percentile(0.5) == Int64(RoundTripTimes.window / 2 + 1))
    #expect(times.percentile(0.99) == 254)
    #expect(times.minimum == 1 && times.maximum == 1_000_000)
    #expect(times.last == Int64(RoundTripTimes.window))
  }

  @Test func aClockThatStepsBackGivesZero() {
    var times = RoundTripTimes()
    times.add(-5)
    #expect(times.last == 0 && times.minimum == 0)
  }
}
