// SPDX-License-Identifier: Apache-2.0

/// Makes everything that a plan says, without listening or connecting, and so finds what the library has against it.
enum Trial {
  static func run(_ plan: Plan, _ findings: Findings) {
    do throws(LibraryFailure) {
      let loop = try LibraryLoop()
      let hub = try LibraryHub(loop)
      for step in plan.steps { attempt(step.line, findings) { () throws(LibraryFailure) in try hub.make(step.call) } }
      for feed in plan.feeds { attempt(feed, loop, hub, findings) }
      // What is seen at the start alone: the certificate, folders, what goes together.
      if findings.errors.isEmpty { try start(plan) }
    } catch {
      findings.error(place(of: error.sentence, plan), error.sentence)
    }
  }

  /// The line of what the sentence quotes; 0 if it is about several.
  private static func place(of sentence: String, _ plan: Plan) -> Int {
    func quotes(_ word: String) -> Bool { !word.isEmpty && sentence.contains(word) }
    let step = plan.steps.last { step in
      switch step.call {
      case .set(_, let value), .listen(let value): value.utf8.count > 4 && quotes(value)
      case .route(let path, let name, let value): quotes("\"\(path)\"") || (name == "folder" && quotes(value))
      case .topic(let pattern, _, _): quotes("\"\(pattern)\"")
      case .key: false
      }
    }
    return step?.line ?? 0
  }

  private static func attempt(_ line: Int, _ findings: Findings, _ body: () throws(LibraryFailure) -> Void) {
    do throws(LibraryFailure) { try body() } catch { findings.error(line, error.sentence) }
  }

  /// Its options one by one, so that each error is told; what goes together only if they are right.
  private static func attempt(_ feed: FeedConfig, _ loop: LibraryLoop, _ hub: LibraryHub, _ findings: Findings) {
    let count = findings.errors.count
    for setting in feed.options {
      attempt(setting.line, findings) { () throws(LibraryFailure) in
        let options = ClientOptions()
        try options.set(setting)
      }
    }
    if findings.errors.count > count { return }
    do throws(Problem) { _ = try Feed(feed, loop, hub, isTrial: true) } catch { findings.error(error.line, error.sentence) }
  }

  private static func start(_ plan: Plan) throws(LibraryFailure) {
    let hub = try LibraryHub(nil)
    for step in plan.steps {
      if case .listen = step.call { continue }
      try hub.make(step.call)
    }
    try hub.start()
  }
}
