// SPDX-License-Identifier: Apache-2.0

/// What has to be done for the candles of a topic. A value without clock and sockets: it is told what the topic has, what the
/// exchange has answered, and the time (monotonic ns).
///
/// Only candles in front of the newest one that the topic has are ever published, and only once the stream has sent one
/// since it connected. Of those the stream sends nothing more, so that each close comes once; and a topic whose stream is
/// silent does not look alive.
struct CandleSeries {
  enum Step: Equatable {
    /// Says that a closed candle is missing.
    case gap(Int64)
    /// A closed candle, of which the topic has none yet.
    case candle(Candle)
    /// Ask the exchange for those that begin within; `answer` or `failed` follows.
    case ask(ClosedRange<Int64>)
    /// For the log, once until all is well again.
    case missing(count: Int, why: String)
    case complete
  }

  private static let second: Int64 = 1_000_000_000
  /// Between looks, doubled each time: while the stream has not begun, and when nothing is missing.
  private static let firstLook = second / 4
  private static let slowestLook = 4 * second
  private static let calmLook = 300 * second
  private static let firstRetry = second
  private static let slowestRetry = 300 * second

  /// Of one candle (ms).
  let length: Int64
  /// How many closed ones there should be.
  let wanted: Int
  /// The most candles of one answer; 3 or more.
  let most: Int
  /// The stream says when a candle is closed. Else one that has not come by REST may be whole, and is asked for without a mark.
  let streamSaysClosed: Bool

  /// When to look next; nil: not before something happens.
  private(set) var nextLook: Int64?
  private(set) var isAsking = false
  private var isConnected = false
  /// The topic's end when that was seen, and when it was opened (ns since 1970): what came since is of this connection. One of
  /// them alone would wait for a second message, or for a clock that was set back.
  private var offsetAtStart: Int64 = 0
  private var openedAt: Int64 = 0
  private var looks = 0
  private var failures = 0
  private var isTold = false
  /// The exchange has nothing older.
  private var floor: Int64 = 0

  init(length: Int64, wanted: Int, most: Int, streamSaysClosed: Bool = true) {
    self.streamSaysClosed = streamSaysClosed
    self.length = length
    self.wanted = wanted
    self.most = max(3, most)
  }

  // MARK: What happens

  /// The stream is open since `openedAt` (ns since 1970); `offset` is the topic's end.
  mutating func connected(openedAt: Int64, offset: Int64, now: Int64) {
    isConnected = true
    offsetAtStart = offset
    self.openedAt = openedAt
    floor = 0
    failures = 0
    wake(now)
  }

  /// It is not, or it is silent.
  mutating func lost() {
    isConnected = false
    nextLook = nil
  }

  /// Something makes a look worth its while; but peers that come and go are no reason to ask sooner than was decided.
  mutating func wake(_ now: Int64) {
    if !isConnected || isAsking { return }
    looks = 0
    if failures == 0 { nextLook = now }
  }

  /// The time has come to look.
  mutating func look(_ view: CandleView, now: Int64) -> [Step] {
    nextLook = nil
    guard isConnected, !isAsking else { return [] }
    guard let newest = spoken(view) else {
      nextLook = now + CandleSeries.doubled(CandleSeries.firstLook, looks, most: CandleSeries.slowestLook)
      looks += 1
      return []
    }
    let missing = missing(view, newest)
    guard let window = window(missing, view) else {
      nextLook = now + CandleSeries.doubled(CandleSeries.firstLook, looks, most: CandleSeries.calmLook)
      looks += 1
      failures = 0
      return told(nil)
    }
    isAsking = true
    return marks(missing, view) + [.ask(window)]
  }

  /// The exchange has answered. The steps are for what the topic has now. `random`: from 0 up to 1.
  mutating func answer(_ rows: [HistoryRow], _ window: ClosedRange<Int64>, _ view: CandleView, now: Int64, random: Double) -> [Step] {
    guard isConnected, let newest = spoken(view) else {
      isAsking = false
      if isConnected { nextLook = now }
      return []
    }
    let fitting = rows.filter { window.contains($0.candle.start) && (newest - $0.candle.start) % length == 0 }
    if let start = contradiction(fitting, view) {
      return failed(
        "its candle of \(start) has no price of the one that the stream had: it is of another market", view, now: now, random: random)
    }
    let open = missing(view, newest).filter { window.contains($0) }
    let (made, left) = fill(open, fitting, view)
    isAsking = false
    nextLook = now
    if left.isEmpty {
      failures = 0
      return made.map { .candle($0) }
    }
    if !made.isEmpty { failures = 0 }
    let why = fitting.isEmpty ? "it gave none of these" : "it does not give these"
    return made.map { .candle($0) } + failed(why, view, count: left.count, now: now, random: random)
  }

  /// There is no answer that can be used. `pause`: before that asking is no use (ns).
  mutating func failed(_ why: String, _ view: CandleView, count: Int? = nil, now: Int64, random: Double, pause: Int64 = 0) -> [Step] {
    isAsking = false
    let delay = CandleSeries.doubled(CandleSeries.firstRetry, failures, most: CandleSeries.slowestRetry)
    failures += 1
    nextLook = isConnected ? now + max(pause, delay / 2 + Int64(Double(delay / 2) * random)) : nil
    guard let newest = view.newest else { return [] }
    let left = count ?? missing(view, newest).count
    return left == 0 ? [] : told((left, why))
  }

  /// The newest candle, if the stream has sent one since it connected.
  private func spoken(_ view: CandleView) -> Int64? {
    guard let newest = view.newest, let entry = view.entries[newest] else { return nil }
    return entry.offset > offsetAtStart || entry.published >= openedAt ? newest : nil
  }

  // MARK: What is missing

  /// Starts of closed candles that the topic has not, in order.
  private func missing(_ view: CandleView, _ newest: Int64) -> [Int64] {
    let (span, overflows) = length.multipliedReportingOverflow(by: Int64(wanted))
    let oldest = max(floor, overflows ? 0 : newest - span, 0)
    if newest - oldest < length { return [] }
    // From the newest one back, since that is what says where candles begin.
    let first = newest - (newest - oldest) / length * length
    return stride(from: first, to: newest, by: Int64.Stride(length)).filter { start in
      guard let entry = view.entries[start] else { return true }
      return entry.isGap || !entry.isClosed
    }
  }

  /// Those between candles that the topic has are holes, and are marked at once; those in front of all are only history.
  private func marks(_ missing: [Int64], _ view: CandleView) -> [Step] {
    let oldest = view.oldest ?? 0
    return missing.filter { start in
      guard let entry = view.entries[start] else { return start >= oldest }
      return start >= oldest && streamSaysClosed && !entry.isGap
    }.map { .gap($0) }
  }

  /// The next to ask for: holes from the first on, then history from its end back; with a neighbour at each side.
  private func window(_ missing: [Int64], _ view: CandleView) -> ClosedRange<Int64>? {
    let oldest = view.oldest ?? 0
    let span = Int64(most - 3) * length
    if let first = missing.first(where: { $0 >= oldest }) {
      let last = missing.last { $0 <= first + span } ?? first
      return max(0, first - length)...last + length
    }
    guard let last = missing.last else { return nil }
    let first = missing.first { $0 >= last - span } ?? last
    return max(0, first - length)...last + length
  }

  /// A closed candle that the topic has, and the answer has with none of its prices.
  private func contradiction(_ rows: [HistoryRow], _ view: CandleView) -> Int64? {
    rows.first { row in
      guard let entry = view.entries[row.candle.start], entry.isClosed, !entry.isGap, !entry.isEmpty, entry.prices.count == 4 else {
        return false
      }
      return !zip(entry.prices, row.candle.prices).contains { $0 == $1 }
    }?.candle.start
  }

  /// The candles that the answer has for what is missing, and what it does not settle.
  private mutating func fill(_ missing: [Int64], _ rows: [HistoryRow], _ view: CandleView) -> (made: [Candle], left: [Int64]) {
    // A candle is closed where a later one has begun.
    guard let last = rows.last?.candle.start, let first = rows.first?.candle.start else { return ([], missing) }
    let given = Dictionary(rows.map { ($0.candle.start, $0) }) { one, _ in one }
    let oldest = view.oldest ?? 0
    var made: [Candle] = []
    var left: [Int64] = []
    for start in missing {
      if start < last, let row = given[start], !row.isOpen {
        made.append(row.candle)
      } else if start < first, start < oldest {
        floor = max(floor, first)
      } else if start < last, given[start] == nil, let close = close(before: start, made, given, view) {
        made.append(.empty(start, close: close))
      } else {
        left.append(start)
      }
    }
    return (made, left)
  }

  /// The close of the candle in front, of the answer or the topic; nil if nobody has it.
  private func close(before start: Int64, _ made: [Candle], _ given: [Int64: HistoryRow], _ view: CandleView) -> String? {
    let start = start - length
    if let row = given[start] { return row.candle.close }
    if let candle = made.last, candle.start == start { return candle.close }
    guard let entry = view.entries[start], entry.isClosed, !entry.isGap, entry.prices.count == 4 else { return nil }
    return entry.prices[3]
  }

  private mutating func told(_ trouble: (count: Int, why: String)?) -> [Step] {
    defer { isTold = trouble != nil }
    if let trouble { return isTold ? [] : [.missing(count: trouble.count, why: trouble.why)] }
    return isTold ? [.complete] : []
  }

  private static func doubled(_ first: Int64, _ times: Int, most: Int64) -> Int64 { times > 20 ? most : min(most, first << Int64(times)) }
}

extension CandleSeries {
  /// The closed candles of an answer for the latest ones, without holes at what the exchange leaves out, at most `count`. The
  /// last one of the answer is open, or nobody knows that it is not.
  static func closed(_ rows: [HistoryRow], length: Int64, most count: Int) -> [Candle] {
    guard let last = rows.last?.candle.start else { return [] }
    var candles: [Candle] = []
    for row in rows.dropLast() where !row.isOpen && (last - row.candle.start) % length == 0 {
      if let before = candles.last {
        let next = before.start + length
        // Longer than all that is wanted: what is in front of that is of no use.
        if (row.candle.start - next) / length > count {
          candles = []
        } else {
          for start in stride(from: next, to: row.candle.start, by: Int64.Stride(length)) {
            candles.append(.empty(start, close: before.close))
          }
        }
      }
      candles.append(row.candle)
      if candles.count > 2 * count { candles.removeFirst(candles.count - count) }
    }
    if let end = candles.last, end.start + length < last, (last - end.start) / length <= count {
      for start in stride(from: end.start + length, to: last, by: Int64.Stride(length)) { candles.append(.empty(start, close: end.close)) }
    }
    return candles.suffix(count)
  }
}
