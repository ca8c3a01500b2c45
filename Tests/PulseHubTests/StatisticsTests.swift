// SPDX-License-Identifier: Apache-2.0
import PulseHub
import PulseText
import Testing

struct HubStatisticsTests {
  @Test func aPlaceOfTheTableIsItsNumber() {
    #expect(statisticPaths.count == HubStatistics.count)
    #expect(MemoryLayout<HubStatistics>.size == 8 * HubStatistics.count)
    for (place, path) in statisticPaths.enumerated() {
      var statistics = HubStatistics()
      statistics[keyPath: path] = 7
      for index in 0..<HubStatistics.count { #expect(statistics[index] == (index == place ? 7 : 0)) }
    }
    let statistics = HubStatistics()
    #expect(statistics[-1] == 0 && statistics[HubStatistics.count] == 0 && statistics[.max] == 0)
  }

  @Test func loopsAdd() {
    var sum = HubStatistics()
    var other = HubStatistics()
    for (place, path) in statisticPaths.enumerated() {
      sum[keyPath: path] = UInt64(place)
      other[keyPath: path] = 1000
    }
    sum.add(other)
    for index in 0..<HubStatistics.count { #expect(sum[index] == UInt64(index + 1000)) }
    other.requests = .max
    sum.add(other)
    #expect(sum.requests == other.requests &+ UInt64(statisticPaths.firstIndex(of: \.requests)! + 1000))
  }

  @Test func theTable() {
    var rows = HubStatistics.rows
    var names: Set<String> = []
    while let index = rows.next() {
      names.insert(HubStatistics.name(index).description)
      #expect(["counter", "gauge"].contains(HubStatistics.type(index).description))
      #expect(!HubStatistics.unit(index).isEmpty && !HubStatistics.meaning(index).isEmpty)
    }
    #expect(names.count == HubStatistics.count)
    #expect(names.isSuperset(of: ["messages_offered", "messages_written", "messages_conflated", "messages_dropped", "messages_queued"]))
  }

  @Test func events() {
    for (kind, number, name) in eventKinds {
      #expect(kind.rawValue == number && kind.name.description == name)
      var set = HubEventSet()
      #expect(!set.contains(kind))
      set.insert(kind)
      for (other, _, _) in eventKinds { #expect(set.contains(other) == (other == kind)) }
    }
    #expect(HubEventKind(rawValue: 0) == nil && HubEventKind(rawValue: UInt32(eventKinds.count) + 1) == nil)
  }
}
