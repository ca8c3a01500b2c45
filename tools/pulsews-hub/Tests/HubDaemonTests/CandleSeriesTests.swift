// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

private let second: Int64 = 1_000_000_000
private let minute: Int64 = 60_000

@Suite struct CandleSeriesTests {
  private var series = CandleSeries(length: minute, wanted: 10, most: 100)

  private func candle(_ number: Int64, _ price: String? = nil) -> Candle {
    let price = price ?? "\(number)"
    return Candle(start: number * minute, open: price, high: price, low: price, close: price, volume: "1")
  }

  private func rows(_ numbers: [Int64]) -> [HistoryRow] { numbers.map { HistoryRow(candle: candle($0), isOpen: false) } }

  /// Closed candles, gaps, and the newest one, which is open. All but that have offset 5, that has 20.
  private func view(closed: [Int64], gaps: [Int64] = [], open: [Int64] = [], newest: Int64, offset: Int64 = 20) -> CandleView {
    var entries: [Int64: CandleView.Entry] = [:]
    for number in closed { entries[number * minute] = CandleView.Entry(offset: 5, isClosed: true, prices: candle(number).prices) }
    for number in gaps { entries[number * minute] = CandleView.Entry(offset: 5, isGap: true) }
    for number in open { entries[number * minute] = CandleView.Entry(offset: 5, prices: candle(number).prices) }
    entries[newest * minute] = CandleView.Entry(offset: offset, prices: candle(newest).prices)
    return CandleView(entries, offset: 20)
  }

  private func range(_ first: Int64, _ last: Int64) -> ClosedRange<Int64> { first * minute...last * minute }

  private mutating func begin(_ view: CandleView, now: Int64 = 0) -> [CandleSeries.Step] {
    series.connected(openedAt: .max, offset: 10, now: now)
    return series.look(view, now: now)
  }

  /// What the stream had and never says that it is closed is no hole: REST confirms it. What it had not is one.
  @Test mutating func withoutClosesOfTheStreamNothingIsMarkedThatItHad() {
    series = CandleSeries(length: minute, wanted: 10, most: 100, streamSaysClosed: false)
    let streamed = view(closed: Array(90...94), open: [95, 97, 98, 99], newest: 100)
    #expect(begin(streamed) == [.gap(96 * minute), .ask(range(94, 100))])
    #expect(
      series.answer(rows([94, 95, 96, 97, 98, 99, 100]), range(94, 100), streamed, now: second, random: 0)
        == [95, 96, 97, 98, 99].map { .candle(candle($0)) })
    #expect(series.look(view(closed: Array(91...99), newest: 100), now: second) == [.ask(range(89, 91))])
  }

  @Test mutating func nothingIsDoneBeforeTheStreamHasSpoken() {
    #expect(series.look(view(closed: [1], newest: 5), now: 0) == [])
    #expect(series.nextLook == nil)
    series.connected(openedAt: .max, offset: 20, now: 0)
    var pauses: [Int64] = []
    for _ in 0..<10 {
      let now = series.nextLook ?? -1
      #expect(series.look(view(closed: [1], newest: 5), now: now) == [])
      pauses.append((series.nextLook ?? 0) - now)
    }
    #expect(pauses.prefix(3) == [second / 4, second / 2, second] && pauses.last == 4 * second)
    #expect(series.look(CandleView(), now: 0) == [])
    #expect(!series.look(view(closed: [1], newest: 5, offset: 21), now: 0).isEmpty)
  }

  /// It may have spoken before anybody saw that it is open.
  @Test mutating func aMessageSinceItWasOpenedCounts() {
    var entries = view(closed: [98], newest: 100).entries
    entries[100 * minute]?.published = 7
    series.connected(openedAt: 8, offset: 20, now: 0)
    #expect(series.look(CandleView(entries, offset: 20), now: 0) == [])
    entries[100 * minute]?.published = 8
    #expect(series.look(CandleView(entries, offset: 20), now: 0).first == .gap(99 * minute))
  }

  @Test mutating func aWholeTopicNeedsNothing() {
    let whole = view(closed: Array(90...99), newest: 100)
    #expect(begin(whole) == [])
    #expect(series.nextLook == second / 4 && !series.isAsking)
    // Less and less in doubt.
    for _ in 0..<20 { #expect(series.look(whole, now: series.nextLook ?? 0) == []) }
    let now = series.nextLook ?? 0
    #expect(series.look(whole, now: now) == [] && series.nextLook == now + 300 * second)
  }

  @Test mutating func holesAreMarkedAtOnceAndThenAskedFor() {
    let holey = view(closed: Array(90...94) + [99], open: [95], newest: 100)
    #expect(
      begin(holey) == [.gap(95 * minute), .gap(96 * minute), .gap(97 * minute), .gap(98 * minute), .ask(range(94, 99))])
    #expect(series.isAsking && series.nextLook == nil)
    let marked = view(closed: Array(90...94) + [99], gaps: [95, 96, 97, 98], newest: 100)
    #expect(
      series.answer(rows([94, 95, 96, 97, 98, 99]), range(94, 99), marked, now: second, random: 0)
        == [95, 96, 97, 98].map { .candle(candle($0)) })
    #expect(series.look(view(closed: Array(90...99), newest: 100), now: second) == [])
  }

  @Test mutating func aMarkIsMadeOnce() {
    #expect(begin(view(closed: Array(90...94) + [98, 99], gaps: [95, 96], newest: 100)) == [.gap(97 * minute), .ask(range(94, 98))])
  }

  /// The newest one and what is behind it are the stream's alone.
  @Test mutating func theNewestIsNeverTouched() {
    let holey = view(closed: Array(90...97), newest: 99)
    #expect(begin(holey) == [.gap(98 * minute), .ask(range(97, 99))])
    #expect(series.answer(rows([97, 98, 99, 100, 101]), range(97, 99), holey, now: 0, random: 0) == [.candle(candle(98))])
  }

  /// What the stream closed meanwhile is not closed again.
  @Test mutating func whatHasComeMeanwhileIsLeftAlone() {
    _ = begin(view(closed: Array(90...97), newest: 99))
    let now = view(closed: Array(90...98), newest: 99)
    #expect(series.answer(rows([97, 98, 99]), range(97, 99), now, now: 0, random: 0) == [])
    #expect(series.nextLook == 0)
  }

  @Test mutating func aCandleWithoutALaterOneIsNotClosed() {
    let holey = view(closed: Array(90...97), gaps: [98], newest: 99)
    _ = begin(holey)
    #expect(
      series.answer(rows([97, 98]), range(97, 99), holey, now: 0, random: 0) == [.missing(count: 1, why: "it does not give these")])
    series.wake(0)
    _ = series.look(holey, now: 0)
    let open = [HistoryRow(candle: candle(98), isOpen: true), HistoryRow(candle: candle(99), isOpen: true)]
    #expect(series.answer(open, range(97, 99), holey, now: 0, random: 0) == [])
  }

  @Test mutating func historyIsAskedForWithoutMarks() {
    #expect(begin(view(closed: [98, 99], newest: 100)) == [.ask(range(89, 98))])
    let had = view(closed: [98, 99], newest: 100)
    #expect(series.answer(rows([89, 90, 97, 98]), range(89, 98), had, now: 0, random: 0).count == 8)
  }

  @Test mutating func longHistoryComesInPieces() {
    series = CandleSeries(length: minute, wanted: 20, most: 8)
    #expect(begin(view(closed: [], newest: 100)) == [.ask(range(93, 100))])
    let windows: [([Int64], ClosedRange<Int64>)] = [
      (Array(94...99), range(87, 94)), (Array(88...99), range(81, 88)), (Array(82...99), range(79, 82)),
    ]
    var asked = range(93, 100)
    for (closed, window) in windows {
      let present = view(closed: closed.filter { $0 * minute > asked.upperBound - minute }, newest: 100)
      _ = series.answer(rows(Array(asked.lowerBound / minute...asked.upperBound / minute)), asked, present, now: 0, random: 0)
      #expect(series.look(view(closed: closed, newest: 100), now: 0) == [.ask(window)])
      asked = window
    }
  }

  @Test mutating func aNewMarketHasNoMore() {
    _ = begin(view(closed: [98, 99], newest: 100))
    let had = view(closed: [98, 99], newest: 100)
    #expect(series.answer(rows([96, 97, 98]), range(89, 98), had, now: 0, random: 0) == [.candle(candle(96)), .candle(candle(97))])
    #expect(series.look(view(closed: [96, 97, 98, 99], newest: 100), now: 0) == [])
    #expect(!series.isAsking)
  }

  @Test mutating func whatTheExchangeLeavesOutHadNoTrades() {
    let holey = view(closed: Array(90...94) + [99], gaps: [95, 96, 97, 98], newest: 100)
    _ = begin(holey)
    #expect(
      series.answer(rows([94, 97, 99]), range(94, 99), holey, now: 0, random: 0) == [
        .candle(.empty(95 * minute, close: "94")), .candle(.empty(96 * minute, close: "94")), .candle(candle(97)),
        .candle(.empty(98 * minute, close: "97")),
      ])
  }

  @Test mutating func aHoleThatStaysIsToldOnceAndTriedAgainLater() {
    let holey = view(closed: Array(90...97) + [99], gaps: [98], newest: 100)
    _ = begin(holey)
    var now: Int64 = 0
    var pauses: [Int64] = []
    var told: [CandleSeries.Step] = []
    for _ in 0..<12 {
      told += series.failed("down", holey, now: now, random: 1)
      pauses.append((series.nextLook ?? 0) - now)
      now = series.nextLook ?? 0
      #expect(series.look(holey, now: now) == [.ask(range(97, 99))])
    }
    #expect(told == [.missing(count: 1, why: "down")])
    #expect(pauses.prefix(4) == [second, 2 * second, 4 * second, 8 * second] && pauses.last == 300 * second)
    #expect(series.answer(rows([97, 98, 99]), range(97, 99), holey, now: now, random: 0) == [.candle(candle(98))])
    #expect(series.look(view(closed: Array(90...99), newest: 100), now: now) == [.complete])
  }

  @Test mutating func pausesAreShortenedAtRandomAndNeverBelowWhatIsAsked() {
    let holey = view(closed: Array(90...97) + [99], gaps: [98], newest: 100)
    _ = begin(holey)
    _ = series.failed("down", holey, now: 0, random: 0)
    #expect(series.nextLook == second / 2)
    _ = series.look(holey, now: second)
    _ = series.failed("429", holey, now: second, random: 0, pause: 7 * second)
    #expect(series.nextLook == 8 * second)
  }

  /// Whatever happens meanwhile.
  @Test mutating func nobodyLooksWhileItAsks() {
    let holey = view(closed: Array(90...97) + [99], gaps: [98], newest: 100)
    _ = begin(holey)
    series.wake(1)
    #expect(series.nextLook == nil && series.look(holey, now: 1) == [])
    series.lost()
    series.connected(openedAt: .max, offset: 10, now: 2)
    #expect(series.nextLook == nil && series.look(holey, now: 2) == [] && series.nextLook == nil)
    #expect(series.answer(rows([97, 98, 99]), range(97, 99), holey, now: 3, random: 0) == [.candle(candle(98))])
    #expect(series.nextLook == 3)
  }

  @Test mutating func peersThatComeDoNotShortenAPause() {
    let holey = view(closed: Array(90...97) + [99], gaps: [98], newest: 100)
    _ = begin(holey)
    _ = series.failed("down", holey, now: 0, random: 0, pause: 60 * second)
    series.wake(second)
    #expect(series.nextLook == 60 * second)
    series.connected(openedAt: .max, offset: 10, now: 2 * second)
    #expect(series.nextLook == 2 * second)
  }

  @Test mutating func anotherMarketIsRefused() {
    let holey = view(closed: Array(90...97) + [99], gaps: [98], newest: 100)
    _ = begin(holey)
    let others = [97, 98, 99].map { HistoryRow(candle: candle($0, "5000"), isOpen: false) }
    let steps = series.answer(others, range(97, 99), holey, now: 0, random: 0)
    guard case .missing(1, let why) = steps.first, steps.count == 1 else {
      Issue.record("\(steps)")
      return
    }
    #expect(why.contains("another market") && why.contains("\(97 * minute)"))
  }

  @Test mutating func candlesOffTheGridOrOutsideAreNone() {
    let holey = view(closed: Array(90...97) + [99], gaps: [98], newest: 100)
    _ = begin(holey)
    let off = Candle(start: 98 * minute + 1, open: "1", high: "1", low: "1", close: "1", volume: "1")
    #expect(
      series.answer([HistoryRow(candle: off, isOpen: false)] + rows([12, 500]), range(97, 99), holey, now: 0, random: 0) == [
        .missing(count: 1, why: "it gave none of these")
      ])
  }

  @Test mutating func aLostStreamEndsIt() {
    let holey = view(closed: Array(90...97) + [99], gaps: [98], newest: 100)
    _ = begin(holey)
    series.lost()
    #expect(series.answer(rows([97, 98, 99]), range(97, 99), holey, now: 0, random: 0) == [])
    #expect(series.nextLook == nil && !series.isAsking)
    // Back, but its first candle has still to come.
    series.connected(openedAt: .max, offset: 20, now: 0)
    #expect(series.look(holey, now: 0) == [])
  }

  @Test func timesFromOutsideDoNotOverflow() {
    var series = CandleSeries(length: 604_800_000_000, wanted: 5000, most: 1000)
    series.connected(openedAt: .max, offset: 0, now: 0)
    let entries = [CandleView.lastStart: CandleView.Entry(offset: 1), 0: CandleView.Entry(offset: 1, isClosed: true)]
    #expect(!series.look(CandleView(entries, offset: 1), now: 0).isEmpty)
    #expect(CandleView(snapshot: #"{"offset":1,"items":[{"o":1,"data":{"type":"candle","start":9223372036854775807}}]}"#).newest == nil)
  }

  // MARK: At the start

  @Test func theLastOfTheLatestIsOpen() {
    #expect(CandleSeries.closed(rows([1, 2, 3]), length: minute, most: 10).map(\.start) == [minute, 2 * minute])
    #expect(CandleSeries.closed(rows([1, 2, 3, 4]), length: minute, most: 2).map(\.start) == [2 * minute, 3 * minute])
    #expect(CandleSeries.closed(rows([1]), length: minute, most: 2).isEmpty)
    #expect(CandleSeries.closed([], length: minute, most: 2).isEmpty)
    // As far apart as may be: it does not take memory for what nobody wants.
    let far = CandleSeries.closed(rows(Array(stride(from: 0, to: 5_000_000, by: 5000))), length: minute, most: 5000)
    #expect(far.count == 5000 && far.last?.start == 4_994_999 * minute)
  }

  @Test func holesOfTheLatestHadNoTrades() {
    let made = CandleSeries.closed(rows([1, 4, 7]), length: minute, most: 10)
    #expect(made.map { $0.start / minute } == [1, 2, 3, 4, 5, 6])
    #expect(made.map(\.isEmpty) == [false, true, true, false, true, true])
    #expect(made.map(\.close) == ["1", "1", "1", "4", "4", "4"])
    // Beyond all that is wanted: only what is behind the hole.
    #expect(
      CandleSeries.closed(rows([1, 1_000_000_000, 1_000_000_001]), length: minute, most: 10).map { $0.start / minute } == [1_000_000_000])
  }

  // MARK: What a topic has

  @Test func aViewIsTheLatestOfEachCandle() {
    let text = #"""
      {"type":"snapshot","topic":"candle.SOL.1m","epoch":"e","offset":9,"items":[
      {"type":"candle","o":3,"t":[1,2,3],"data":{"type":"candle","start":60000,"open":"1","high":"2","low":"1","close":"2","closed":true}},
      {"type":"candle","o":4,"t":[null,null,1796010336132.005],"data":{"type":"candle","start":120000,"gap":true}},
      {"type":"x","o":5,"t":[null,null,3],"data":{"type":"x","start":180000}},
      {"type":"candle","o":6,"t":[null,null,3],"data":{"type":"candle","start":"soon"}},
      {"type":"candle","o":9,"t":[null,null,3],"data":{"type":"candle","start":240000,"open":1.50,"high":2,"low":1,"close":2,"closed":false}}]}
      """#
    let view = CandleView(snapshot: text)
    #expect(view.offset == 9 && view.newest == 240_000 && view.oldest == 60000 && view.entries.count == 3)
    #expect(view.entries[60000] == CandleView.Entry(offset: 3, published: 3_000_000, isClosed: true, prices: ["1", "2", "1", "2"]))
    #expect(view.entries[120_000] == CandleView.Entry(offset: 4, published: 1_796_010_336_132_005_000, isGap: true))
    #expect(view.entries[240_000]?.prices.first == "1.50")
    #expect(CandleView(snapshot: "") == CandleView())
    let late = #"{"offset":1,"items":[{"o":1,"t":[1,1,99999999999999.001],"data":{"type":"candle","start":0}}]}"#
    #expect(CandleView(snapshot: late).entries[0]?.published == 0)
  }
}
