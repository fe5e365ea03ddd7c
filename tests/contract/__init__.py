"""What one does with a torch.nn model, done with ours: the same results and the same exceptions."""
