//! The connection: subscribes, samples within a budget, connects again; sends [`News`].

use super::access::Access;
use super::budget::Budget;
use super::model::News;
use noctule_client::{
    Client, Error, Message, QoS, RetainHandling, Subscribe, SubscribeOptions, Subscription,
    Unsubscribe, Version,
};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

const SYS: &str = "$SYS/#";

/// News that may wait; beyond that the connection is not read.
const NEWS: usize = 1024;

/// Orders that may wait.
const ORDERS: usize = 16;

/// Between attempts to connect again.
const RETRY: Duration = Duration::from_secs(2);

/// How long a goodbye may take.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// What the user asks of a running feed.
#[derive(Debug)]
pub(super) enum Order {
    /// Sample messages under this filter.
    Sample(String),
    /// Sample none.
    Rest,
}

/// What to sample, and how much.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) filter: Option<String>,
    /// Messages a second, in the long run.
    pub(super) budget: u32,
}

/// Both ends of a running feed.
pub(super) struct Feed {
    news: mpsc::Receiver<News>,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

impl Feed {
    /// Starts to send news of this connection, and of those that follow it.
    pub(super) fn start(access: Access, client: Client, wish: Wish) -> Feed {
        let (sender, news) = mpsc::channel(NEWS);
        let (orders, receiver) = mpsc::channel(ORDERS);
        let start = Instant::now();
        let source = Source { access, wish, start, news: sender, orders: receiver };
        let task = tokio::spawn(async move {
            // The only way out is that nobody wants more.
            let Unwanted = source.run(client).await;
        });
        Feed { news, orders, task }
    }

    /// Waits for news; answers how many. None at all: there will be no more.
    pub(super) async fn news(&mut self, batch: &mut Vec<News>) -> usize {
        self.news.recv_many(batch, NEWS).await
    }

    /// Orders are the user's: one too many at a time is not missed.
    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.try_send(order);
    }

    /// Says goodbye to the broker, but not for long.
    pub(super) async fn end(self) {
        drop((self.news, self.orders));
        let _ = timeout(LEAVE_MAX, self.task).await;
    }
}

/// Nobody wants news any more.
struct Unwanted;

struct Source {
    access: Access,
    wish: Wish,
    start: Instant,
    news: mpsc::Sender<News>,
    orders: mpsc::Receiver<Order>,
}

/// What a connection samples just now.
enum Sample {
    Off,
    /// Messages come.
    Hearing(Subscription),
    /// The budget is used up until then.
    Resting(Instant),
}

/// What wakes a connection up.
enum Wake {
    Sys(Option<Message>),
    Sampled(Option<Message>),
    Rested,
    Order(Option<Order>),
}

impl Source {
    async fn run(mut self, mut client: Client) -> Unwanted {
        loop {
            let ended = match self.attend(&client).await {
                Ok(error) => self.tell(News::Lost(error.to_string())).await,
                Err(unwanted) => Err(unwanted),
            };
            if let Err(unwanted) = ended {
                // How long this takes is up to `Feed::end`; how it ends is of no interest.
                let _ = client.disconnect().await;
                return unwanted;
            }
            client = match self.connect_again().await {
                Ok(connected) => connected,
                Err(unwanted) => return unwanted,
            };
        }
    }

    async fn tell(&self, news: News) -> Result<(), Unwanted> {
        self.news.send(news).await.map_err(|_| Unwanted)
    }

    /// Tries until it works.
    async fn connect_again(&mut self) -> Result<Client, Unwanted> {
        loop {
            let attempt = async {
                sleep(RETRY).await;
                self.access.connect().await
            };
            tokio::select! {
                result = attempt => match result {
                    Ok(connected) => return Ok(connected),
                    Err(error) => self.tell(News::Lost(error.to_string())).await?,
                },
                order = self.orders.recv() => self.wish.take(order)?,
            }
        }
    }

    /// Serves one connection to its end; answers why it ended.
    async fn attend(&mut self, client: &Client) -> Result<Error, Unwanted> {
        self.tell(News::Online).await?;
        // QoS 1: what the broker says about a flood must not drown in it.
        let mut sys = match client.subscribe(Subscribe::to(SYS, QoS::AtLeastOnce)).await {
            Ok(sys) => Some(sys),
            Err(Error::Rejected(notice)) => {
                self.tell(News::SysRefused(notice.to_string())).await?;
                None
            }
            Err(error) => return Ok(error),
        };
        let mut budget = Budget::new(self.wish.budget, self.start.elapsed());
        let mut sample = self.sample(client).await?;
        loop {
            let wake = tokio::select! {
                message = next(&mut sys) => Wake::Sys(message),
                wake = sample.wake() => wake,
                order = self.orders.recv() => Wake::Order(order),
            };
            match wake {
                Wake::Sys(Some(message)) => self.tell(News::Sys(message)).await?,
                Wake::Sampled(Some(message)) => {
                    self.sampled(message).await?;
                    if !budget.take(self.start.elapsed()) && client.version() == Version::V5 {
                        sample = self.rest(client, sample, &mut budget).await?;
                    }
                }
                Wake::Rested => sample = self.sample(client).await?,
                Wake::Order(order) => {
                    self.rest(client, sample, &mut budget).await?;
                    self.wish.take(order)?;
                    sample = self.sample(client).await?;
                }
                Wake::Sys(None) | Wake::Sampled(None) => {
                    return Ok(client.end().unwrap_or(Error::Closed));
                }
            }
        }
    }

    async fn sampled(&self, mut message: Message) -> Result<(), Unwanted> {
        let bytes = message.payload.len();
        // What it says is of no interest, and may be large.
        message.payload.clear();
        self.tell(News::Sampled(message, bytes)).await
    }

    /// Subscribes to what is to be sampled; what was retained before is not wanted. That the
    /// connection is over will be seen by who waits for messages.
    async fn sample(&mut self, client: &Client) -> Result<Sample, Unwanted> {
        let Some(filter) = self.wish.filter.clone() else {
            self.tell(News::SampleEnded).await?;
            return Ok(Sample::Off);
        };
        let retain_handling = RetainHandling::Never;
        let options = SubscribeOptions { retain_handling, ..SubscribeOptions::default() };
        match client.subscribe(Subscribe::default().and(&filter, options)).await {
            Ok(messages) => {
                self.tell(News::Hears(filter)).await?;
                Ok(Sample::Hearing(messages))
            }
            Err(Error::Rejected(notice)) => {
                self.wish.filter = None;
                self.tell(News::SampleRefused(notice.to_string())).await?;
                Ok(Sample::Off)
            }
            Err(_) => Ok(Sample::Off),
        }
    }

    /// Has no more messages sent, and takes those that were on the way. Before 5.0 a later
    /// subscription brings everything retained again, so there this is left to the user.
    async fn rest(
        &self,
        client: &Client,
        sample: Sample,
        budget: &mut Budget,
    ) -> Result<Sample, Unwanted> {
        let (Sample::Hearing(mut messages), Some(filter)) = (sample, &self.wish.filter) else {
            return Ok(Sample::Off);
        };
        if client.unsubscribe(Unsubscribe::from(filter)).await.is_ok() {
            while let Some(message) = messages.recv().await {
                self.sampled(message).await?;
                budget.take(self.start.elapsed());
            }
        }
        self.tell(News::Deaf).await?;
        Ok(Sample::Resting(self.start + budget.full_at()))
    }
}

impl Wish {
    fn take(&mut self, order: Option<Order>) -> Result<(), Unwanted> {
        self.filter = match order {
            Some(Order::Sample(filter)) => Some(filter),
            Some(Order::Rest) => None,
            None => return Err(Unwanted),
        };
        Ok(())
    }
}

impl Sample {
    async fn wake(&mut self) -> Wake {
        match self {
            Sample::Off => std::future::pending().await,
            Sample::Hearing(messages) => Wake::Sampled(messages.recv().await),
            Sample::Resting(until) => {
                tokio::time::sleep_until(*until).await;
                Wake::Rested
            }
        }
    }
}

async fn next(messages: &mut Option<Subscription>) -> Option<Message> {
    match messages {
        Some(messages) => messages.recv().await,
        None => std::future::pending().await,
    }
}
