// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import CPulseWS
import Glibc
import Logging

/// How the program ends.
public enum ExitCode {
  /// Ended as it was told to, or the configuration is right (`--check`).
  public static let done: Int32 = 0
  /// Could not start, or the hub has ended by itself.
  public static let failed: Int32 = 1
  /// The configuration can't be used.
  public static let badConfig: Int32 = 2
  /// Ended before all peers had gone: by a second signal, or since the drain took too long.
  public static let cut: Int32 = 3
}

/// The program: one hub by one configuration, until a signal ends it.
public final class Daemon {
  public static var version: String { text(pulsews_version()) }

  private let source: ConfigSource
  private let demo: Demo?
  private let activation: Activation?
  private let notify: Notify
  private let log = Logger(label: "pulsews-hub") { DaemonLogHandler(label: $0) }
  private var config: Config
  private let hub: LibraryHub
  private let loop: LibraryLoop
  private let feeds: FeedWatch
  private let services: SignalService
  private let history: CandleHistory?
  private let pump: EventPump
  private let signals: Int32

  /// Reads the configuration, says what is wrong with it or what it would do.
  public static func check(_ path: String) -> Int32 { check(.file(path)) }

  static func check(_ source: ConfigSource) -> Int32 {
    let path = source.name
    let file = ConfigFile.load(source, isActivated: nil)
    report(file)
    if !file.findings.errors.isEmpty { return ExitCode.badConfig }
    if file.config.listen.isEmpty { print("\(path): note: it listens at sockets of the service manager only") }
    for line in Summary.lines(file.config) { print(line) }
    print("\(path): the configuration is right")
    return ExitCode.done
  }

  /// Serves until a signal ends it; the exit code.
  public static func run(_ path: String) -> Int32 { run(.file(path), nil) }

  static func run(_ source: ConfigSource, _ demo: Demo?) -> Int32 {
    // Before there is a thread, all of which have the same.
    if daemon_block_signals() != 0 { return complain("signals can't be blocked: \(systemError())", ExitCode.failed) }
    let variables = environment()
    let process = getpid()
    let activated: Activation?
    switch Activation.take(variables, process: process) {
    case .failure(let problem): return complain(problem.text, ExitCode.failed)
    case .success(let taken): activated = taken
    }
    let file = ConfigFile.load(source, isActivated: activated != nil)
    report(file)
    if !file.findings.errors.isEmpty { return ExitCode.badConfig }
    if let problem = LogSink.shared.configure(file.config.log, secrets: file.findings.secrets) {
      return complain(problem, ExitCode.badConfig)
    }
    if let problem = LibraryLog.begin(file.config.log.level) { return complain(problem, ExitCode.failed) }
    do throws(LibraryFailure) {
      let daemon = try Daemon(source, demo, file, activated, Notify(variables, process: process))
      return daemon.serve()
    } catch {
      return complain(error.sentence, ExitCode.failed)
    }
  }

  private static func report(_ file: ConfigFile) {
    for line in file.lines(file.findings.sortedWarnings, "warning") { complain(line) }
    for line in file.lines(file.findings.sortedErrors, "error") { complain(line) }
  }

  @discardableResult static func complain(_ sentence: String, _ code: Int32 = 0) -> Int32 {
    _ = writeAll(2, (code == 0 ? "" : "pulsews-hub: ") + sentence + "\n")
    return code
  }

  private init(_ source: ConfigSource, _ demo: Demo?, _ file: ConfigFile, _ activation: Activation?, _ notify: Notify)
    throws(LibraryFailure)
  {
    self.source = source
    self.demo = demo
    self.activation = activation
    self.notify = notify
    config = file.config
    signals = daemon_signal_descriptor()
    pump = EventPump(watchdog: notify.watchdog)
    loop = try LibraryLoop()
    // One loop for the hub and its feeds, so that a message changes no threads; several if asked for.
    let isShared = Int(config.hubOption("loops")?.value ?? "1") == 1
    hub = try LibraryHub(isShared ? loop : nil)
    services = SignalService(hub, log)
    feeds = FeedWatch(hub, log)
    history = CandleHistory(hub, log)
    for step in Plan(config).steps { try hub.make(step.call) }
    for address in activation?.addresses ?? [] { try hub.make(.listen(address)) }
  }

  // MARK: Running

  private func serve() -> Int32 {
    if signals < 0 || pump.ended < 0 { return fail("no descriptor for signals: \(systemError())") }
    if history == nil, config.feeds.contains(where: { $0.history != nil }) { return fail("libcurl can't be used") }
    history?.load(config, signals: signals)
    do throws(LibraryFailure) { try hub.start() } catch { return fail("the hub does not start: \(error.sentence)") }
    do throws(Problem) {
      feeds.add(try make(config.feeds))
    } catch {
      return fail("\(source.name):\(error.line): \(error.sentence)")
    }
    if let problem = services.begin(config) { return fail(problem) }
    let handle: @Sendable (borrowing HubEvent) -> Void = { [services, feeds, demo, hub] event in
      if demo?.answer(event, hub) == true { return }
      services.handle(event)
      feeds.handle(event)
    }
    if let problem = pump.begin(hub, handle) { return fail(problem) }
    if let history {
      feeds.hear(history)
      history.follow(config.feeds)
    }
    if let problem = history?.run() ?? feeds.begin() { return fail(problem) }
    if let problem = demo?.begin(hub, services, config.portfolio, log) { return fail(problem) }
    let places = hub.addresses
    for place in places { log.info("listening", metadata: ["address": "\(place)"]) }
    tell(Notify.ready("\(places.count) sockets, \(feeds.count) feeds"))
    return waitForEnd()
  }

  private func make(_ configs: [FeedConfig]) throws(Problem) -> [(config: FeedConfig, feed: Feed)] {
    var made: [(config: FeedConfig, feed: Feed)] = []
    for config in configs { made.append((config, try Feed(config, loop, hub))) }
    return made
  }

  private func fail(_ sentence: String) -> Int32 {
    log.error("\(sentence)")
    return ExitCode.failed
  }

  private func tell(_ message: String) {
    if let problem = notify.tell(message) { log.warning("the service manager could not be told: \(problem)") }
  }

  /// Until a signal or the hub's end; the exit code.
  private func waitForEnd() -> Int32 {
    while true {
      switch wait(until: nil) {
      case .ended: return fail("the hub has ended by itself: \(text(pulsews_error_text(pump.endCode)))")
      case .signal(SIGHUP): reload()
      case .signal: return drain()
      case .timeout: break
      }
    }
  }

  private enum Wake {
    case signal(Int32), ended, timeout
  }

  /// The next thing to do; signs of life go out meanwhile.
  private func wait(until deadline: Int64?) -> Wake {
    while true {
      var polled = [signals, pump.ended].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      let now = daemon_monotonic_ns()
      if let watchdog = notify.watchdog, now - pump.lastTurn < watchdog { tell(Notify.alive) }
      if let deadline, now >= deadline { return .timeout }
      let pause = min(notify.watchdog ?? .max, deadline.map { $0 - now } ?? .max)
      let milliseconds = pause == .max ? -1 : Int32(clamping: pause / 1_000_000 + 1)
      if poll(&polled, nfds_t(polled.count), milliseconds) < 0, errno != EINTR { return .ended }
      let signal = daemon_next_signal(signals)
      if signal > 0 { return .signal(signal) }
      if polled[1].revents != 0 { return .ended }
    }
  }

  /// Lets the peers go; the exit code.
  private func drain() -> Int32 {
    log.info("draining: peers are closed; a second signal ends at once")
    tell(Notify.stopping)
    history?.stop()
    hub.beginDrain()
    let deadline = daemon_monotonic_ns() + config.drainTimeout
    while true {
      switch wait(until: deadline) {
      case .ended:
        Feed.close(feeds.end())
        demo?.end()
        services.end()
        log.info("ended")
        return ExitCode.done
      case .signal(SIGHUP): log.warning("no configuration is read any more")
      case .signal:
        services.end()
        log.warning("ended by a second signal; peers were cut")
        return ExitCode.cut
      case .timeout:
        services.end()
        log.warning("the drain took longer than drain_timeout; peers were cut")
        return ExitCode.cut
      }
    }
  }
}

// MARK: A new configuration

extension Daemon {
  /// Certificates and the log file are opened anew in any case: they may have been renewed and rotated. The configuration is
  /// taken wholly or not at all.
  private func reload() {
    tell(Notify.reloading(daemon_monotonic_ns()))
    for why in [LogSink.shared.reopen(), services.reopen()] { if let why { log.error("\(why)") } }
    do throws(LibraryFailure) {
      if config.hubOption("certificate") != nil { try hub.reload() }
    } catch {
      log.error("the certificate was not read anew, the old one stays: \(error.sentence)")
    }
    let file = ConfigFile.load(source, isActivated: activation != nil)
    for line in file.lines(file.findings.sortedWarnings, "warning") { log.warning("\(line)") }
    for line in file.lines(file.findings.sortedErrors, "error") { log.error("\(line)") }
    let problem = file.findings.errors.isEmpty ? apply(file) : "\(source.name) has errors"
    if let problem {
      log.error("the configuration was not applied, the old one stays: \(problem)")
    } else {
      log.info("the configuration was applied", metadata: ["feeds": "\(feeds.count)"])
    }
    tell(Notify.ready("\(feeds.count) feeds"))
  }

  /// nil, or why nothing of it was done.
  private func apply(_ file: ConfigFile) -> String? {
    let next = file.config
    let change = PlanChange(from: Plan(config), to: Plan(next))
    if !change.needsRestart.isEmpty { return "a restart is needed for \(change.needsRestart.joined(separator: ", "))" }
    let made: [(config: FeedConfig, feed: Feed)]
    do throws(Problem) {
      made = try make(change.addedFeeds + change.replacedFeeds)
    } catch {
      return "line \(error.line): \(error.sentence)"
    }
    var audit = next.audit.map { Audit($0) }
    if let problem = audit?.open() { return problem }
    if let problem = LogSink.shared.configure(next.log, secrets: file.findings.secrets) {
      audit?.close()
      return problem
    }
    if let problem = services.take(next, audit) { log.error("\(problem): no audit file is written") }
    LibraryLog.set(next.log.level)
    Feed.close(feeds.remove(change.removedFeeds + change.replacedFeeds.map(\.name)))
    for feed in change.replacedFeeds { history?.lost(feed.name) }
    history?.follow(next.feeds)
    feeds.add(made)
    for changed in change.resubscribedFeeds { feeds.change(changed) }
    config = next
    return nil
  }
}
