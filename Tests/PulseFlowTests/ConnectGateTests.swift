// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

private final class Token: Sendable {}

private func limits(_ inFlight: Int, _ count: Int = 1000, _ duration: Int64 = second) -> ConnectGate.Limits {
  ConnectGate.Limits(inFlight: inFlight, window: RateWindow(count: count, duration: duration), attemptTime: 0)
}

private func wakeups(_ gate: ConnectGate) -> [ConnectGate.Ticket] {
  var all: [ConnectGate.Ticket] = []
  while let wakeup = gate.popWakeup() { all.append(wakeup.ticket) }
  return all
}

private let host: [UInt8] = Array("feed.example:443".utf8)
private let token = Token()

@Suite struct ConnectGateTests {
  @Test func whoComesAloneGoesAtOnce() {
    let gate = ConnectGate()
    let (ticket, answer) = gate.request(host: host, limits: limits(1), now: 0, token: token)
    #expect(answer == .go)
    #expect(gate.poll(ticket, now: 0) == .go)
    #expect(gate.load(of: host) == (1, 0))
    gate.leave(ticket, now: 1)
    gate.leave(ticket, now: 1)
    #expect(gate.load(of: host) == (0, 0))
    #expect(gate.poll(ticket, now: 1) == .unknown)
    #expect(gate.poll(.none, now: 1) == .unknown)
    gate.leave(.none, now: 1)
  }

  @Test func theNextGoesWhenOneLeaves() {
    let gate = ConnectGate()
    let first = gate.request(host: host, limits: limits(1), now: 0, token: token)
    let next = gate.request(host: host, limits: limits(1), now: 0, token: token)
    let last = gate.request(host: host, limits: limits(1), now: 0, token: token)
    #expect(next.answer == .wait(until: ConnectGate.patience) && last.answer == next.answer)
    #expect(wakeups(gate).isEmpty)
    gate.leave(first.ticket, now: 5)
    #expect(wakeups(gate) == [next.ticket])
    // It was told, it is its turn: the other one cannot slip in before it.
    #expect(gate.poll(last.ticket, now: 6) == .wait(until: 6 + ConnectGate.patience))
    #expect(wakeups(gate).isEmpty)
    #expect(gate.poll(next.ticket, now: 7) == .go)
    // The last one is first now, but its time depends on the end of an attempt: there is nothing to learn.
    #expect(wakeups(gate).isEmpty)
    #expect(gate.poll(last.ticket, now: 8) == .wait(until: 8 + ConnectGate.patience))
    #expect(wakeups(gate).isEmpty)
  }

  @Test func theWindowSaysWhenToComeBack() {
    let gate = ConnectGate()
    let rule = limits(100, 2, 500 * millisecond)
    var tickets: [ConnectGate.Ticket] = []
    var answers: [ConnectGate.Answer] = []
    for index in 0..<6 {
      let (ticket, answer) = gate.request(host: host, limits: rule, now: Int64(index), token: token)
      tickets.append(ticket)
      answers.append(answer)
    }
    let later = 500 * millisecond
    #expect(answers[0] == .go && answers[1] == .go)
    #expect(answers[2] == .wait(until: later) && answers[3] == .wait(until: later + 1))
    // Further back it depends on the starts of those ahead.
    #expect(answers[4] == .wait(until: 4 + ConnectGate.patience))
    #expect(gate.poll(tickets[3], now: later) == .wait(until: later + 1))
    #expect(wakeups(gate) == [tickets[2]])
    #expect(gate.poll(tickets[2], now: later) == .go)
    #expect(wakeups(gate) == [tickets[3]])
    #expect(gate.poll(tickets[3], now: later + 1) == .go)
    #expect(wakeups(gate) == [tickets[4]])
    #expect(gate.poll(tickets[4], now: later + 2) == .wait(until: 2 * later))
  }

  @Test func allWhoseTurnItIsAreTold() {
    let gate = ConnectGate()
    var tickets: [ConnectGate.Ticket] = []
    for _ in 0..<9 { tickets.append(gate.request(host: host, limits: limits(10, 3), now: 0, token: token).ticket) }
    #expect(wakeups(gate).isEmpty)
    #expect(gate.poll(tickets[3], now: second) == .go)
    #expect(wakeups(gate) == [tickets[4], tickets[5]])
    // Of those who may go, any may be quicker; nobody else may.
    #expect(gate.poll(tickets[6], now: second) != .go)
    #expect(gate.poll(tickets[5], now: second) == .go)
    #expect(gate.poll(tickets[4], now: second) == .go)
    #expect(gate.load(of: host) == (6, 3))
  }

  @Test func whoGivesUpMakesTheNextFirst() {
    let gate = ConnectGate()
    let rule = limits(10, 1)
    _ = gate.request(host: host, limits: rule, now: 0, token: token)
    let first = gate.request(host: host, limits: rule, now: 0, token: token)
    let next = gate.request(host: host, limits: rule, now: 0, token: token)
    gate.leave(first.ticket, now: 1)
    #expect(wakeups(gate) == [next.ticket])
    #expect(gate.poll(next.ticket, now: 1) == .wait(until: second))
    #expect(gate.poll(next.ticket, now: second) == .go)
  }

  @Test func hostsDoNotShareAndAreForgotten() {
    let gate = ConnectGate()
    for index in 0..<10_000 {
      let name = Array("host-\(index):443".utf8)
      let (ticket, answer) = gate.request(host: name, limits: limits(1), now: Int64(index) * second, token: token)
      #expect(answer == .go)
      gate.leave(ticket, now: Int64(index) * second)
      if index % 3 == 0 { gate.leave(ticket, now: Int64(index) * second) }
      #expect(gate.hostCount <= 2)
    }
    let rule = limits(1)
    #expect(gate.request(host: host, limits: rule, now: 0, token: token).answer == .go)
    #expect(gate.request(host: host + [0x30], limits: rule, now: 0, token: token).answer == .go)
  }

  @Test func whoIsAwayHoldsNobodyUp() {
    let gate = ConnectGate()
    let first = gate.request(host: host, limits: limits(1), now: 0, token: token)
    let away = gate.request(host: host, limits: limits(1), now: 0, token: token)
    let other = gate.request(host: host, limits: limits(1), now: 0, token: token)
    gate.leave(first.ticket, now: 1)
    #expect(wakeups(gate) == [away.ticket])
    let limit = 3 * ConnectGate.patience
    #expect(gate.poll(other.ticket, now: limit) != .go)
    #expect(gate.poll(other.ticket, now: limit + 1) == .go)
    // It is still first when it is back.
    let late = gate.request(host: host, limits: limits(1), now: limit + 2, token: token)
    #expect(gate.poll(away.ticket, now: limit + 3) != .go)
    gate.leave(other.ticket, now: limit + 4)
    #expect(wakeups(gate) == [away.ticket])
    #expect(gate.poll(late.ticket, now: limit + 5) != .go)
    #expect(gate.poll(away.ticket, now: limit + 5) == .go)
  }

  @Test func anAttemptWithoutAnEndStopsCounting() {
    let gate = ConnectGate()
    var rule = limits(1)
    rule.attemptTime = 20 * second
    let stuck = gate.request(host: host, limits: rule, now: 0, token: token)
    let other = gate.request(host: host, limits: rule, now: 0, token: token)
    #expect(gate.poll(other.ticket, now: 20 * second - 1) != .go)
    #expect(gate.poll(other.ticket, now: 20 * second) == .go)
    #expect(gate.poll(stuck.ticket, now: 20 * second) == .unknown)
    gate.leave(stuck.ticket, now: 20 * second)
    #expect(gate.load(of: host) == (1, 0))
  }

  @Test func whoHasStrictLimitsIsNotOvertaken() {
    let gate = ConnectGate()
    _ = gate.request(host: host, limits: limits(10, 10), now: 0, token: token)
    let strict = gate.request(host: host, limits: limits(10, 1), now: 0, token: token)
    let loose = gate.request(host: host, limits: limits(10, 10), now: 0, token: token)
    #expect(strict.answer == .wait(until: second))
    #expect(loose.answer != .go)
    #expect(gate.poll(strict.ticket, now: second) == .go)
    #expect(wakeups(gate) == [loose.ticket])
    #expect(gate.poll(loose.ticket, now: second) == .go)
  }

  @Test func theEndsOfTimeDoNotTrap() {
    let gate = ConnectGate()
    let rule = ConnectGate.Limits(
      inFlight: .min, window: RateWindow(count: .min, duration: .max), attemptTime: .max)
    let first = gate.request(host: [], limits: rule, now: .min, token: token)
    let other = gate.request(host: [], limits: rule, now: .min, token: token)
    for now in [Int64.min, 0, .max] {
      _ = gate.poll(other.ticket, now: now)
      _ = gate.poll(first.ticket, now: now)
    }
    gate.leave(first.ticket, now: .max)
    _ = gate.poll(other.ticket, now: .max)
    gate.leave(other.ticket, now: .min)
    #expect(gate.load(of: []) == (0, 0))
  }
}

struct ConnectGateWakeTests {
  /// Who became first while all places were taken learns its time when one is free, though its turn is not yet.
  @Test func theFirstLearnsItsTimeWhenAPlaceIsFree() {
    final class Token {}
    let gate = ConnectGate()
    let limits = ConnectGate.Limits(inFlight: 1, window: RateWindow(count: 1, duration: second), attemptTime: 0)
    let host: [UInt8] = [0x68]
    let (first, answer) = gate.request(host: host, limits: limits, now: 0, token: Token())
    #expect(answer == .go)
    let token = Token()
    let (waiting, later) = gate.request(host: host, limits: limits, now: 1, token: token)
    #expect(later == .wait(until: 1 + ConnectGate.patience))
    #expect(gate.popWakeup() == nil)
    gate.leave(first, now: 10 * millisecond)
    let woken = gate.popWakeup()
    #expect(woken?.token === token)
    #expect(gate.poll(waiting, now: 10 * millisecond) == .wait(until: second))
    #expect(gate.popWakeup() == nil)
    #expect(gate.poll(waiting, now: second) == .go)
  }
}
