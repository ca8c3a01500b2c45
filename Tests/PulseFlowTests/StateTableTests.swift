// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

private let states: [SessionState] = [.disconnected, .connecting, .connected, .reconnecting, .error]
private let events: [SessionEvent] = [.start, .attempt, .opened, .retry, .giveUp, .reconnect, .disconnect]

/// A row for each state, a column for each event: start, attempt, opened, retry, giveUp, reconnect, disconnect.
private let matrix: [[SessionState?]] = [
  [.connecting, nil, nil, nil, nil, .connecting, nil],
  [nil, nil, .connected, .reconnecting, .error, nil, .disconnected],
  [nil, nil, nil, .reconnecting, .error, .reconnecting, .disconnected],
  [nil, .reconnecting, .connected, .reconnecting, .error, .reconnecting, .disconnected],
  [nil, nil, nil, nil, nil, .reconnecting, .disconnected],
]

@Suite struct StateTableTests {
  @Test func theWholeMatrix() {
    for (row, state) in states.enumerated() {
      for (column, event) in events.enumerated() {
        #expect(StateTable.next(state, event) == matrix[row][column], "\(state) \(event)")
      }
    }
  }

  @Test func theTableHasEachTransitionOnce() {
    var seen: Set<String> = []
    var index = 0
    while let row = StateTable.entry(index) {
      #expect(seen.insert("\(row.from) \(row.event)").inserted)
      #expect(!row.meaning.isEmpty)
      index += 1
    }
    #expect(index == matrix.joined().compactMap { $0 }.count)
    #expect(StateTable.entry(-1) == nil && StateTable.entry(.max) == nil)
  }

  @Test func disconnectLeadsFromAnywhereToDisconnected() {
    for state in states where state != .disconnected { #expect(StateTable.next(state, .disconnect) == .disconnected) }
  }

  @Test func namesAndValuesAreThoseOfTheABI() {
    #expect(states.map(\.rawValue) == [0, 1, 2, 3, 4])
    #expect(
      states.map(\.name.description) == ["disconnected", "connecting", "connected", "reconnecting", "error"])
    #expect(Set(events.map(\.name.description)).count == 7)
  }
}
