// SPDX-License-Identifier: Apache-2.0
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport

/// What other threads ask of a loop, and what it answers about the hub.
extension HubLoop {
  /// From any thread.
  func send(_ command: HubCommand) {
    inboxMutex.lock()
    if inboxIsClosed { return inboxMutex.unlock() }
    inbox.commands.append(command)
    wake()
  }

  /// From any thread: the topic has messages that this loop has not read.
  func notify(_ topic: HubTopic) {
    inboxMutex.lock()
    if inboxIsClosed { return inboxMutex.unlock() }
    inbox.topics.append(topic)
    wake()
  }

  /// Gives the inbox's lock back. One post is enough for all that comes before it is looked at.
  func wake() {
    let isFirst = !inbox.isPosted
    inbox.isPosted = true
    inboxMutex.unlock()
    if isFirst {
      host.loop.post(self, tag: Post.inbox)
      host.hurry()
    }
  }

  /// A request about the hub as a whole. It is answered in a turn of its own, since the numbers of the other loops are
  /// theirs: no thread holds the mutexes of two loops.
  func ask(_ number: UInt64, _ kind: HubRoute.Kind) {
    asked.append(Question(number, kind))
    if asked.count == 1 { host.loop.post(self, tag: Post.status) }
  }

  func answerAsked() {
    askingMutex.lock()
    defer { askingMutex.unlock() }
    mutex.lock()
    let requests = isEnded ? [] : asked
    asked = []
    mutex.unlock()
    for request in requests {
      // Once `isEnded` is set the hub waits for `askingMutex`, and is still there.
      let answer = hub.answer(about: request.kind)
      mutex.lock()
      if !isEnded {
        connection(request.number)?.answered(request.number, answer)
        flushDue()
      }
      mutex.unlock()
    }
  }

  func carryOut(_ command: HubCommand) {
    switch command.kind {
    case .resume: resumeReading()
    case .drain(let spread): drain(spread)
    case .adopt(let stream, let from, let first): take(stream, from: from, listener: nil, first: first)
    case .topicState(let topic): tellState(topic)
    case .send(let frame) where command.number == 0: sendToAll(frame)
    default: carryOut(command, for: connection(command.number))
    }
  }

  func carryOut(_ command: HubCommand, for connection: HubConnection?) {
    guard let connection else { return noteGone(command) }
    switch command.kind {
    case .send(let frame):
      guard connection.phase == .open, let peer = connection.peer else { return noteGone(command) }
      give(frame, to: connection, peer)
    case .close(let code, let reason): connection.closeAfterMessages(code, reason)
    case .subscribe(let topic): connection.give(topic)
    case .unsubscribe(let topic): connection.unsubscribe(from: topic.info.name, id: [])
    case .answer(let response): connection.answered(command.number, response)
    default: break
    }
  }

  /// The peer had gone when the command came: the message was on its way to nobody.
  func noteGone(_ command: HubCommand) {
    if case .send = command.kind { statistics.messagesIgnored &+= 1 }
  }
}
