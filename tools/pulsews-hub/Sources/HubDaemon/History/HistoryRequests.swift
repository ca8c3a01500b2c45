// SPDX-License-Identifier: Apache-2.0
import CDaemonHTTP
import CDaemonSystem

/// Candles that are asked for.
struct HistoryJob {
  let feed: String
  let config: HistoryConfig
  let source: HistorySource
  let topic: CandleTopic
  let window: HistoryWindow

  /// Whom limits of requests are about: scheme, host and port.
  var host: String { HistoryJob.host(config.url) }

  static func host(_ url: String) -> String {
    let authority = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).prefix(3).joined(separator: "/")
    return String(authority.prefix { $0 != "?" })
  }
}

enum HistoryOutcome {
  case rows([HistoryRow])
  /// `pause`: for how long asking is no use (ns).
  case failed(String, pause: Int64)
}

/// The requests that run and wait. One thread at a time, but for `wake`.
final class HistoryRequests: @unchecked Sendable {  // the handle never changes, and libcurl's wake is for any thread
  /// For one request (ms), and its answer (bytes). A thousand candles have some 200 KiB.
  private static let patience: Int64 = 10_000
  private static let mostBytes = 4 << 20
  private static let longest: Int64 = 3_600_000

  private let http: OpaquePointer
  private var pacers: [String: RequestPacer] = [:]
  private var waiting: [HistoryJob] = []
  private var running: [UInt64: HistoryJob] = [:]
  private var number: UInt64 = 0

  /// nil: libcurl can't be used.
  init?() {
    guard let made = daemon_http_create() else { return nil }
    http = made
  }

  deinit { daemon_http_free(http) }

  var isIdle: Bool { waiting.isEmpty && running.isEmpty }

  func add(_ job: HistoryJob) {
    pacers[job.host, default: RequestPacer(pause: job.config.pause)].pause = job.config.pause
    waiting.append(job)
  }

  /// Ends those of a feed without an outcome; of all with nil.
  func remove(feed: String?) {
    waiting.removeAll { feed == nil || $0.feed == feed }
    for (number, job) in running where feed == nil || job.feed == feed {
      daemon_http_cancel(http, number)
      running[number] = nil
      pacers[job.host]?.end()
    }
  }

  func wake() { daemon_http_wake(http) }

  /// Goes on until something has come, `deadline` (monotonic ns), or `other`, a descriptor, can be read.
  func turn(until deadline: Int64?, or other: Int32? = nil) -> [(HistoryJob, HistoryOutcome)] {
    var done = begin(daemon_monotonic_ns())
    let now = daemon_monotonic_ns()
    let opens = waiting.compactMap { pacers[$0.host]?.opens }.min()
    let next = min(deadline ?? .max, opens ?? .max)
    let wait =
      !done.isEmpty ? 0 : next == .max ? HistoryRequests.longest : min(max(0, (next - now) / 1_000_000 + 1), HistoryRequests.longest)
    daemon_http_turn(http, other ?? -1, Int32(wait))
    var answer = daemon_http_answer()
    while daemon_http_next(http, &answer) == 1 {
      guard let job = running.removeValue(forKey: answer.number) else { continue }
      pacers[job.host]?.end()
      done.append((job, outcome(answer, job)))
    }
    return done
  }

  /// Begins what may begin; the outcomes of those that can't.
  private func begin(_ now: Int64) -> [(HistoryJob, HistoryOutcome)] {
    var failed: [(HistoryJob, HistoryOutcome)] = []
    var left: [HistoryJob] = []
    for job in waiting {
      guard pacers[job.host]?.mayBegin(now) == true else {
        left.append(job)
        continue
      }
      number += 1
      if get(job) {
        pacers[job.host]?.begin(now)
        running[number] = job
      } else {
        failed.append((job, .failed("the request can't be made", pause: 0)))
      }
    }
    waiting = left
    return failed
  }

  private func get(_ job: HistoryJob) -> Bool {
    func optional<R>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R { text.map { $0.withCString { body($0) } } ?? body(nil) }
    return job.source.target(job.config.url, job.topic, job.window).withCString { url in
      "pulsews-hub/\(Daemon.version)".withCString { agent in
        optional(job.config.proxy) { proxy in
          optional(job.config.caFile) { authorities in
            optional(job.config.proxyCAFile) { proxyAuthorities in
              var request = daemon_http_request(
                url: url, agent: agent, proxy: proxy, ca_file: authorities, proxy_ca_file: proxyAuthorities,
                timeout_ms: HistoryRequests.patience,
                most: HistoryRequests.mostBytes)
              return daemon_http_get(http, number, &request) == 0
            }
          }
        }
      }
    }
  }

  private func outcome(_ answer: daemon_http_answer, _ job: HistoryJob) -> HistoryOutcome {
    let problem = withUnsafeBytes(of: answer.problem) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    if !problem.isEmpty { return .failed(problem, pause: 0) }
    let body = Array(UnsafeBufferPointer(start: answer.body, count: answer.body == nil ? 0 : answer.length))
    let retryAfter = answer.retry_after < 0 ? nil : answer.retry_after
    switch answer.status {
    case 200: break
    case 418, 429:
      let pause = pacers[job.host]?.refused(retryAfter: retryAfter, daemon_monotonic_ns()) ?? 0
      return .failed("the exchange says \(answer.status): too many requests", pause: pause)
    case 300..<400: return .failed("the exchange says \(answer.status), and no redirect is followed", pause: 0)
    default:
      let words = String(decoding: body.prefix(200), as: UTF8.self)
      return .failed("the exchange says \(answer.status) \(words)", pause: RequestPacer.time(retryAfter) ?? 0)
    }
    switch job.source.read(body, job.topic) {
    case .success(let rows): return .rows(rows)
    case .failure(let problem): return .failed(problem.text, pause: 0)
    }
  }
}
