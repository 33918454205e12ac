//! A connection for reading rows by the million.
//!
//! The driver's ordinary connection goes to sleep and wakes up for every row of a COPY, which takes
//! longer than all else that is done with the row. This one sleeps only when the server has nothing
//! to read.

use std::future::Future;
use std::io;
use std::pin::pin;

use futures_util::StreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Error, Row, Socket};

/// A connection that gives the rows of a COPY one after the other.
pub struct RowStream {
    client: Client,
    driver: JoinHandle<()>,
    runtime: Runtime,
}

/// Why there is no such connection.
pub(super) enum OpenError {
    /// The server, or the way to it.
    Refused(Error),
    /// The system.
    NoRoom(io::Error),
}

impl RowStream {
    pub(super) fn open<T>(config: &Config, tls: T) -> Result<RowStream, OpenError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OpenError::NoRoom)?;
        let (client, connection) = runtime
            .block_on(config.connect(tls))
            .map_err(OpenError::Refused)?;
        let driver = runtime.spawn(async move {
            // What ends the connection is said to whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(RowStream {
            client,
            driver,
            runtime,
        })
    }

    /// Runs statements that give no rows.
    pub fn run(&self, statements: &str) -> Result<(), Error> {
        self.wait(self.client.batch_execute(statements))
    }

    /// The few rows of a query.
    pub fn query(&self, statement: &str) -> Result<Vec<Row>, Error> {
        let parameters: [&(dyn ToSql + Sync); 0] = [];
        self.wait(self.client.query(statement, &parameters))
    }

    /// Hands over what a COPY gives, piece by piece, mostly a row each. An error of `each` ends it,
    /// and the connection is then good for nothing but to be dropped.
    pub fn copy<E>(
        &self,
        statement: &str,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, Error> {
        self.wait(async {
            let mut pieces = pin!(self.client.copy_out(statement).await?);
            while let Some(piece) = pieces.next().await {
                if let Err(error) = each(&piece?) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        })
    }

    /// Takes leave of the server.
    pub fn close(self) {
        drop(self.client);
        // A server that is gone needs no leave.
        let _ = self.runtime.block_on(self.driver);
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}
