// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct DemoTraderTests {
  /// What is said in so many seconds, and the trader then; every signal is followed. Prices move with the time.
  private func run(seed: UInt64 = 1, seconds: Int64) -> (said: [[UInt8]], signals: [String], trader: DemoTrader) {
    var trader = DemoTrader(seed: seed, now: 0)
    var (said, signals): ([[UInt8]], [String]) = ([], [])
    for now in stride(from: Int64(0), to: seconds * 1000, by: 100) {
      let prices: DemoTrader.Prices = { DemoInstrument.all[$0].price + now / 1000 }
      for step in trader.step(at: now, prices) {
        switch step {
        case .say(let message): said.append(Array(message.utf8))
        case .signal(let index, let body):
          signals.append(body)
          for case .say(let message) in trader.place(index, signal: "s-\(signals.count)", at: now, prices) {
            said.append(Array(message.utf8))
          }
        }
      }
    }
    return (said, signals, trader)
  }

  @Test func everyMessageIsOneOfAService() {
    let portfolio = PortfolioConfig(line: 0)
    let (said, signals, _) = run(seconds: 120)
    var topics: Set<String> = []
    for message in said {
      switch PeerMessage.read(message, portfolio, statusTopic: { $0.hasPrefix("s-") ? "signal_status" : nil }) {
      case .success(let place): topics.insert(place.topic)
      case .failure(let refusal): Issue.record("\(refusal.sentence): \(String(decoding: message, as: UTF8.self))")
      }
    }
    #expect(topics == Set(PortfolioConfig.Kind.allCases.map { "portfolio.demo.\($0.rawValue)" } + ["signal_status"]))
    #expect(signals.count >= 20 && signals.allSatisfy { JSONScanner.isObject(Array($0.utf8)) })
    #expect(Set(signals).count == signals.count)
  }

  private func texts(_ said: [[UInt8]], _ type: String, _ member: String) -> [String] {
    said.filter { JSONScanner.text($0, at: ["type"]) == type }.compactMap { JSONScanner.text($0, at: ["data", member]) }
  }

  @Test func ordersEndOnce() {
    let (said, signals, _) = run(seconds: 300)
    var states: [String: [String]] = [:]
    for (id, state) in zip(texts(said, "order", "id"), texts(said, "order", "status")) { states[id, default: []].append(state) }
    #expect(states.count == signals.count)
    let ended = states.values.filter { $0 == ["new", "filled"] || $0 == ["new", "cancelled"] }
    #expect(ended.count >= states.count - 1)
    #expect(states.values.contains(["new", "cancelled"]))
    #expect(texts(said, "trade_executed", "order").sorted() == states.filter { $0.value.contains("filled") }.keys.sorted())
  }

  @Test func moneyIsExact() {
    let (said, _, trader) = run(seconds: 600)
    // What was paid and received, from the trades alone.
    var cash: Int64 = 200_000 * 100_000_000
    var held = [Int64](repeating: 0, count: DemoInstrument.all.count)
    for trade in said where JSONScanner.text(trade, at: ["type"]) == "trade_executed" {
      func text(_ member: String) -> String { JSONScanner.text(trade, at: ["data", member]) ?? "" }
      func units(_ member: String) -> Int64 { Int64(text(member).filter { $0 != "." }) ?? 0 }
      guard let index = DemoInstrument.all.firstIndex(where: { $0.name == text("symbol") }) else { continue }
      let instrument = DemoInstrument.all[index]
      let scale = (0..<8 - instrument.priceDigits - instrument.quantityDigits).reduce(Int64(1)) { scale, _ in scale * 10 }
      let sign: Int64 = text("side") == "buy" ? 1 : -1
      cash -= sign * units("price") * units("quantity") * scale
      held[index] += sign * units("quantity")
    }
    #expect(trader.cash == cash && trader.positions.map(\.quantity) == held)
    #expect(held.contains { $0 > 0 } && held.allSatisfy { $0 >= 0 })
    #expect(trader.worth { _ in 0 } == cash)
  }

  @Test func aSeedDecidesEverything() {
    #expect(run(seconds: 60).said == run(seconds: 60).said)
    #expect(run(seed: 2, seconds: 60).said != run(seconds: 60).said)
  }
}
